"""The vendor's reports, one hand-made file for each published format; and reports that are not whole."""

import os
import re
from pathlib import Path

import pytest

from muxflow.board.bitstream.figures import facts
from muxflow.board.bitstream.vendor_reports import (
    MOST_PARTS,
    read_cosimulation,
    read_power,
    read_synthesis,
    read_timing,
    read_utilisation,
)
from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.files import MOST_TEXT
from muxflow.dataflow.fit.device import Resources

REPORTS = Path(__file__).parent / "reports"

ENTITY = '<!DOCTYPE profile [<!ENTITY a "aaaa">]>'


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("vivado_hls_2019.2_csynth.xml", "2019.2"),
        ("vitis_hls_2020.2_csynth.xml", "2020.2"),
        ("vitis_hls_2022.2_csynth.xml", "2022.2"),
        ("vivado_hls_2019.2_csynth.rpt", "2019.2"),
        ("vitis_hls_2022.2_csynth.rpt", "2022.2"),
    ],
)
def test_synthesis(file, version):
    made = read_synthesis(REPORTS / file)
    assert made.version == version
    assert made.resources == Resources(2310, 1204, 3, 2)
    assert (made.target_ns, made.estimated_ns) == (10.0, 7.302)
    assert (made.latency, made.interval) == ((310, 312), (240, 240))
    assert made.slow_loops == ((("fc/VITIS_LOOP_41_1", 2),) if file == "vitis_hls_2022.2_csynth.xml" else ())


def test_pipelines_and_slack():
    """Vitis HLS 2024.2 names the style of a module that is one loop."""
    made = read_synthesis(REPORTS / "vitis_hls_2024.2_csynth.xml")
    met = [(one.name, one.interval, one.depth, one.trips, one.style) for one in made.pipelines]
    assert met == [
        ("act/VITIS_LOOP_41_1", 1, 4, 3, "stp"),
        ("fc/VITIS_LOOP_41_1", 1, 5, 24, "flp"),
        ("sums_to2/VITIS_LOOP_41_1", 1, 3, 6, ""),
    ]
    assert made.slack_ns == pytest.approx(10 - 2.7 - 8.12)
    for file in ("vivado_hls_2019.2_csynth.rpt", "vitis_hls_2022.2_csynth.xml"):
        made = read_synthesis(REPORTS / file)
        assert (made.uncertainty_ns, made.slack_ns) == (1.25, pytest.approx(1.448))


def test_cycles_that_the_tool_does_not_know():
    made = read_synthesis(REPORTS / "vitis_hls_2025.1_csynth.xml")
    assert (made.version, made.latency, made.interval, made.slow_loops) == ("2025.1", None, None, ())


@pytest.mark.parametrize("file", ["vivado_hls_2019.2_cosim.rpt", "vitis_hls_2022.2_cosim.rpt"])
def test_cosimulation(file):
    seen = read_cosimulation(REPORTS / file)
    assert seen.passed
    assert (seen.latency, seen.interval) == ((311, 312, 315), (240, 241, 242))


def test_a_cosimulation_that_fails_or_measures_nothing(tmp_path):
    text = (REPORTS / "vitis_hls_2022.2_cosim.rpt").read_text()
    file = tmp_path / "cosim.rpt"
    file.write_text(text.replace("|      Pass|", "|      Fail|"))
    assert not read_cosimulation(file).passed
    file.write_text(text.replace("            240|            241|            242|", " NA| NA| NA|"))
    assert read_cosimulation(file).interval is None
    file.write_text(text.replace("|      Pass|", "|        NA|"))
    with pytest.raises(ToolError, match=r"cosim\.rpt: the report lacks a row for Verilog or VHDL"):
        read_cosimulation(file)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("vivado_2019.2_utilization.rpt", Resources(6120, 8034, 9, 2)),
        ("vivado_2022.2_utilization.rpt", Resources(6120, 8034, 9, 2)),
        ("vivado_2022.2_accelerator_utilization.rpt", Resources(1987, 1420, 3, 2)),
        ("vivado_2024.1_utilization_ultrascale.rpt", Resources(7012, 9100, 8, 2)),
    ],
)
def test_utilisation(file, expected):
    assert read_utilisation(REPORTS / file) == expected


def test_timing():
    for version in ("2019.2", "2022.2"):
        timing = read_timing(REPORTS / f"vivado_{version}_timing_summary.rpt")
        assert (timing.version, timing.setup_slack, timing.hold_slack, timing.met) == (version, 1.284, 0.021, True)
    timing = read_timing(REPORTS / "vivado_2022.2_timing_summary_not_met.rpt")
    assert (timing.setup_slack, timing.failing_endpoints, timing.met) == (-0.512, 37, False)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("vivado_2017.4_power.rpt", ("2017.4", 6.042, 5.31, 0.732, "Low")),
        ("vivado_2022.2_power.rpt", ("2022.2", 1.693, 1.556, 0.137, "Medium")),
    ],
)
def test_power(file, expected):
    made = read_power(REPORTS / file)
    assert (made.version, made.total, made.dynamic, made.static, made.confidence) == expected


@pytest.mark.parametrize(
    ("read", "file", "old", "new", "message"),
    [
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "<LUT>2310</LUT>", "", "lacks AreaEstimates/Resources/LUT"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "<DSP>2</DSP>", "", "lacks AreaEstimates/Resources/DSP"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "<FF>1204<", "<FF>many<", "Resources/FF is 'many'"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", ">7.302<", "> <", "lacks PerformanceEstimates/SummaryOfTiming"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "<Interval-max>240</Interval-max>", "", "lacks .*Interval-max"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "</profile>", "", "not a whole XML report"),
        (read_synthesis, "vitis_hls_2022.2_csynth.rpt", "ap_clk", "clock", "lacks Timing"),
        (read_synthesis, "vitis_hls_2022.2_csynth.rpt", "+ Latency", "+ Lateness", "lacks Latency"),
        (read_synthesis, "vitis_hls_2022.2_csynth.rpt", "|Total ", "|Sum ", "lacks Utilization Estimates"),
        (
            read_synthesis,
            "vitis_hls_2022.2_csynth.rpt",
            "BRAM_18K",
            "BLOCK_18",
            "lacks Utilization Estimates, BRAM_18K",
        ),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", ">7.302<", ">-7.302<", "EstimatedClockPeriod is '-7.302'"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "<LUT>2310<", "<LUT>1e300<", "Resources/LUT is '1e300'"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "</profile>", 101 * "<a>" + 101 * "</a>", "nested too deep"),
        (read_synthesis, "vitis_hls_2022.2_csynth.xml", "</profile>", "<a/>" * (MOST_PARTS + 1), "MOST_PARTS"),
        (
            read_synthesis,
            "vitis_hls_2022.2_csynth.xml",
            "<profile>",
            f"{ENTITY}<profile>&a;",
            "declares a document type",
        ),
        (read_utilisation, "vivado_2022.2_utilization.rpt", "Slice LUTs", "Tables", "lacks LUTs"),
        (read_utilisation, "vivado_2022.2_utilization.rpt", "| Block RAM Tile", "| Block", "lacks block RAM"),
        (read_utilisation, "vivado_2022.2_utilization.rpt", "| DSPs", "| Blocks", "lacks DSP blocks"),
        (read_power, "vivado_2022.2_power.rpt", "| Dynamic", "| Moving", r"lacks Summary, Dynamic \(W\)"),
        (read_power, "vivado_2022.2_power.rpt", "1.693", "  NA ", r"Total On-Chip Power \(W\) is 'NA'"),
        (read_power, "vivado_2022.2_power.rpt", "Confidence Level", "Confidence", "lacks Summary, Confidence Level"),
        (read_timing, "vivado_2022.2_timing_summary.rpt", "WNS(ns)", "Slack", "lacks Design Timing Summary"),
        (read_timing, "vivado_2022.2_timing_summary.rpt", "  1.284", "     NA", r"WNS\(ns\) is 'NA'"),
        (read_timing, "vivado_2022.2_timing_summary.rpt", "        0.021", "\n", "Design Timing Summary, hold"),
    ],
)
def test_a_report_that_is_not_whole_is_named_with_the_section(tmp_path, read, file, old, new, message):
    text = (REPORTS / file).read_text()
    assert old in text
    broken = tmp_path / file
    broken.write_text(text.replace(old, new))
    with pytest.raises(ToolError, match=rf"{file}: .*{message}"):
        read(broken)


def test_a_line_of_many_beginnings_is_read_once(tmp_path):
    """A pattern that began anew at each would take hours."""
    file = tmp_path / "a_csynth.rpt"
    file.write_text("| ap_clk | 1 | 2 | 3 |\n" + "+ Latency" * 200_000 + "\n")
    with pytest.raises(ToolError, match="lacks Latency"):
        read_synthesis(file)


@pytest.mark.parametrize(("verilog", "vhdl"), [("Pass", "Fail"), ("Fail", "Pass")])
def test_a_cosimulation_passes_in_each_language_or_not_at_all(tmp_path, verilog, vhdl):
    text = (REPORTS / "vitis_hls_2022.2_cosim.rpt").read_text()
    row = next(line for line in text.splitlines() if "Verilog" in line and "Pass" in line)
    other = row.replace("Verilog", "VHDL")
    file = tmp_path / "a_cosim.rpt"
    file.write_text(text.replace(row, f"{row.replace('Pass', verilog)}\n{other.replace('Pass', vhdl)}"))
    assert not read_cosimulation(file).passed
    file.write_text(text.replace(row, f"{row}\n{other}"))
    assert read_cosimulation(file) == read_cosimulation(REPORTS / "vitis_hls_2022.2_cosim.rpt")


@pytest.mark.parametrize("cycles", ["²", "٣", "1" * 5000, "-1", "1e3"])
def test_cycles_that_are_no_whole_number_are_not_known(tmp_path, cycles):
    text = (REPORTS / "vitis_hls_2022.2_csynth.xml").read_text()
    file = tmp_path / "csynth.xml"
    file.write_text(re.sub(r"(<(?:Interval-max|PipelineII|TripCount)>)\d+", rf"\g<1>{cycles}", text))
    made = read_synthesis(file)
    assert (made.latency, made.interval, made.pipelines) == ((310, 312), None, ())
    file = tmp_path / "cosim.rpt"
    file.write_text((REPORTS / "vitis_hls_2022.2_cosim.rpt").read_text().replace(" 241|", f" {cycles}|"))
    assert read_cosimulation(file).interval is None


def test_empty_lines_and_spaces_are_passed_over(tmp_path):
    """Patterns that go over them again and again would take hours."""
    read = {
        read_synthesis: "vivado_hls_2019.2_csynth.rpt",
        read_utilisation: "vivado_2022.2_utilization.rpt",
        read_timing: "vivado_2022.2_timing_summary.rpt",
        read_power: "vivado_2022.2_power.rpt",
        read_cosimulation: "vitis_hls_2022.2_cosim.rpt",
    }
    for reader, name in read.items():
        text = (REPORTS / name).read_text()
        (tmp_path / name).write_text(
            "\n" * 10**6 + text.replace("\n", f"{' ' * 1000}\n\n").replace(" |", f"{' ' * 1000}|")
        )
        assert reader(tmp_path / name) == reader(REPORTS / name)


def test_an_absent_report_is_named(tmp_path):
    for read in (read_synthesis, read_cosimulation, read_utilisation, read_timing, read_power):
        with pytest.raises(ToolError, match=r"none\.xml: the report cannot be read"):
            read(tmp_path / "none.xml")


def test_a_report_is_not_read_without_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    with (tmp_path / "large.xml").open("wb") as file:
        file.truncate(MOST_TEXT + 1)
    for name, said in (("pipe", "it is no file"), ("large", r"it has more than .* bytes \(MOST_TEXT\)")):
        with pytest.raises(ToolError, match=rf"{name}\.xml: the report cannot be read \(ValueError: {said}"):
            read_synthesis(tmp_path / f"{name}.xml")
        assert facts(tmp_path / f"{name}.xml") == {}
