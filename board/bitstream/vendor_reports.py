"""Read the vendor tools' reports: synthesis, co-simulation, utilisation, timing, power."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from muxflow.board.bitstream.pipelines import Pipeline, pipelines_of, whole
from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.files import read_bounded
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.limits import LEAST_FIGURE, MOST_DEPTH, MOST_FIGURE
from muxflow.dataflow.text import plainly, reason, shown

TOOL_VERSION = r"Tool Version\s*:\s*Vivado v\.?(20\d\d\.\d)"
"""How Vivado's reports give it."""
MOST_PARTS = 1 << 20
"""Elements of a report in XML: tens for each of thousands of functions (decision)."""


@dataclass(frozen=True)
class Synthesised:
    """What the HLS tool estimates after synthesis.

    `version`: the tool's, as the report gives it ("" in a text report without one); `resources` of the accelerator;
    clock periods in ns, `uncertainty_ns` what the tool keeps of the target for what placement adds; `latency` and `interval`
    are (least, most) cycles for a frame, None where the tool gives none. `pipelines`: of all modules; a text report gives none.
    """

    version: str
    resources: Resources
    target_ns: float
    estimated_ns: float
    uncertainty_ns: float
    latency: tuple[int, int] | None
    interval: tuple[int, int] | None
    pipelines: tuple[Pipeline, ...] = ()

    @property
    def slack_ns(self) -> float:
        """What is left of the target period; negative: the tool does not expect to reach it."""
        return self.target_ns - self.uncertainty_ns - self.estimated_ns

    @property
    def slow_loops(self) -> tuple[tuple[str, int], ...]:
        """Pipelined loops with an initiation interval above 1, with that interval."""
        return tuple((one.name, one.interval) for one in self.pipelines if one.interval > 1)


@dataclass(frozen=True)
class Cosimulated:
    """What the co-simulation measured: whether it passed, cycles (least, average, most), None where not measured."""

    passed: bool
    latency: tuple[int, int, int] | None
    interval: tuple[int, int, int] | None


@dataclass(frozen=True)
class Timing:
    """Worst slack in ns (negative: not met) and failing endpoints, of set-up, hold and pulse width together."""

    version: str
    setup_slack: float
    hold_slack: float
    failing_endpoints: int

    @property
    def met(self) -> bool:
        """True when no path is too slow or too fast."""
        return self.setup_slack >= 0 and self.hold_slack >= 0 and self.failing_endpoints == 0


@dataclass(frozen=True)
class PowerEstimate:
    """Watts of the whole chip as Vivado estimates them; `confidence`: its own word ("Low", "Medium", "High")."""

    version: str
    total: float
    dynamic: float
    static: float
    confidence: str


def read_synthesis(file: Path) -> Synthesised:
    """Read `csynth.xml` or `<top>_csynth.xml`, or `.rpt` where only the text is there.

    Formats: Vivado HLS 2019.2 (UG902), Vitis HLS 2020.2 and later (UG1399).
    Raises ToolError naming the file and the section that is missing or not a number.
    """
    return _synthesis_text(file) if file.suffix == ".rpt" else _synthesis_xml(file)


def read_xml(file: Path) -> ElementTree.Element:
    """Read a report in XML; raises ToolError naming the file when it cannot be read, is not whole, or is nested too deep."""
    try:
        return ElementTree.fromstring(_read(file), ElementTree.XMLParser(target=_Bounded()))
    except (ElementTree.ParseError, ValueError) as error:
        raise ToolError(f"{file}: not a whole XML report ({plainly(error)}); run the stage again") from error


class _Bounded(ElementTree.TreeBuilder):
    """Builds the elements of a report.

    Raises ValueError for more than MOST_PARTS, or MOST_DEPTH that stand in each other, and for a document type: no report
    has one, and its entities make gigabytes of a small file.
    """

    count, depth = 0, 0

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        """Refuse a document type."""
        raise ValueError("it declares a document type")

    def start(self, tag: str, attributes: dict[str, str], /) -> ElementTree.Element:
        """Take the beginning of an element."""
        self.count += 1
        self.depth += 1
        if self.count > MOST_PARTS:
            raise ValueError(f"more than {MOST_PARTS:,} elements (MOST_PARTS)")
        if self.depth > MOST_DEPTH:
            raise ValueError(f"its elements are nested too deep; at most {MOST_DEPTH} (MOST_DEPTH) are supported")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> ElementTree.Element:
        """Take the end of an element."""
        self.depth -= 1
        return super().end(tag)


def _synthesis_xml(file: Path) -> Synthesised:
    root = read_xml(file)

    def text(*paths: str) -> str:
        for path in paths:
            found = root.findtext(path)
            if found is not None and found.strip():
                return found.strip()
        raise _lacks(file, paths[0])

    area = "AreaEstimates/Resources/"
    overall = "PerformanceEstimates/SummaryOfOverallLatency/"
    resources = Resources(
        _integer(file, area + "LUT", text(area + "LUT")),
        _integer(file, area + "FF", text(area + "FF")),
        _integer(file, area + "BRAM_18K", text(area + "BRAM_18K")),
        # Vivado HLS calls them DSP48E.
        _integer(file, area + "DSP", text(area + "DSP", area + "DSP48E")),
        # Vivado HLS and parts without UltraRAM may have no row of it.
        _integer(file, area + "URAM", root.findtext(area + "URAM") or "0"),
    )
    return Synthesised(
        _version(r"(20\d\d\.\d)", text("ReportVersion/Version")),
        resources,
        number(file, "TargetClockPeriod", text("UserAssignments/TargetClockPeriod")),
        number(file, "EstimatedClockPeriod", text("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")),
        number(file, "ClockUncertainty", text("UserAssignments/ClockUncertainty")),
        _range(text(overall + "Best-caseLatency"), text(overall + "Worst-caseLatency")),
        _range(text(overall + "Interval-min"), text(overall + "Interval-max")),
        pipelines_of(root),
    )


def _synthesis_text(file: Path) -> Synthesised:
    text = _read_table(file)
    clock = re.search(r"^\s*\|\s*(?:ap_clk|default)\s*\|([^|]+)\|([^|]+)\|([^|]+)\|", text, re.MULTILINE)
    if clock is None:
        raise _lacks(file, "Timing")
    overall = re.search(r"^\+ Latency[^\n]*\n\* Summary:.*?(?=\n\+ Detail|\Z)", text, re.DOTALL | re.MULTILINE)
    cells = [] if overall is None else _cells(overall[0], r"[\d?-]")
    if len(cells) < 4:
        raise _lacks(file, "Latency")
    # Vitis HLS puts the latency in absolute time between cycles and interval.
    interval = cells[4:6] if len(cells) >= 7 else cells[2:4]
    header = re.search(r"^\|\s*Name\s*\|(.+)\|\s*$", text, re.MULTILINE)
    total = re.search(r"^\|\s*Total\s*\|(.+)\|\s*$", text, re.MULTILINE)
    if header is None or total is None:
        raise _lacks(file, "Utilization Estimates")
    names = [name.strip() for name in header[1].split("|")]
    used = dict(zip(names, (value.strip() for value in total[1].split("|")), strict=False))

    def amount(*keys: str) -> int:
        for key in keys:
            if key in used:
                return _integer(file, f"Utilization Estimates, {key}", used[key])
        raise _lacks(file, f"Utilization Estimates, {keys[0]}")

    return Synthesised(
        _version(r"^\* Version:\s*v?(20\d\d\.\d)", text),
        Resources(
            amount("LUT"),
            amount("FF"),
            amount("BRAM_18K"),
            amount("DSP", "DSP48E"),
            amount("URAM") if "URAM" in used else 0,
        ),
        number(file, "Timing, Target", clock[1].replace("ns", "")),
        number(file, "Timing, Estimated", clock[2].replace("ns", "")),
        number(file, "Timing, Uncertainty", clock[3].replace("ns", "")),
        _range(cells[0], cells[1]),
        _range(interval[0], interval[1]),
    )


def read_cosimulation(file: Path) -> Cosimulated:
    """Read `<top>_cosim.rpt`: it passed where the RTL of each language did that was simulated.

    Raises ToolError naming the file when it holds no result of an RTL simulation.
    """
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in _read_table(file).splitlines()]
    seen = [row for row in rows if len(row) >= 8 and row[0] in ("Verilog", "VHDL") and row[1] not in ("NA", "")]
    if not seen:
        raise _lacks(file, "a row for Verilog or VHDL with a result")
    return Cosimulated(all(row[1] == "Pass" for row in seen), _three(seen[0][2:5]), _three(seen[0][5:8]))


def read_utilisation(file: Path) -> Resources:
    """Read Vivado's `report_utilization`; 7-series and UltraScale+ name the rows differently, and versions the columns.

    Block RAM is given in tiles of 36 Kb. Raises ToolError naming the file and the row.
    """
    text = _read_table(file)

    def amount(title: str, *rows: str, absent: float | None = None) -> float:
        for row in rows:
            match = re.search(rf"^\|\s*{row}\*?\s*\|\s*([\d.]+)\s*\|", text, re.MULTILINE)
            if match:
                return number(file, title, match[1])
        if absent is None:
            raise _lacks(file, f"{title} ({' or '.join(rows)})")
        return absent

    return Resources(
        round(amount("LUTs", "Slice LUTs", "CLB LUTs")),
        round(amount("registers", "Slice Registers", "CLB Registers", "Register as Flip Flop")),
        math.ceil(2 * amount("block RAM", "Block RAM Tile")),
        round(amount("DSP blocks", "DSPs", "DSP Slices")),
        round(amount("UltraRAM", "URAM", absent=0)),
    )


def read_timing(file: Path) -> Timing:
    """Read Vivado's `report_timing_summary`: the design's worst slacks.

    Raises ToolError naming the file and the section; a slack of NA (a design without a clock) is an error too.
    """
    text = _read_table(file)
    table = re.search(r"^\s*WNS\(ns\)\s+TNS\(ns\)[^\n]*\n[\s-]*\n\s*(\S[^\n]*)$", text, re.MULTILINE)
    if table is None:
        raise _lacks(file, "Design Timing Summary")
    values = table[1].split()
    if len(values) < 8:
        raise _lacks(file, "Design Timing Summary, hold")
    failing = [values[2], values[6], *values[10:11]]
    return Timing(
        _version(TOOL_VERSION, text),
        number(file, "WNS(ns)", values[0], signed=True),
        number(file, "WHS(ns)", values[4], signed=True),
        sum(_integer(file, "Failing Endpoints", value) for value in failing),
    )


def read_power(file: Path) -> PowerEstimate:
    """Read Vivado's `report_power`: the table of its summary, which all versions from 2017 on write alike.

    Raises ToolError naming the file and the row.
    """
    text = _read_table(file)

    def cell(row: str) -> str:
        match = re.search(rf"^\|\s*{re.escape(row)}\s*\|\s*([^|]*?)\*?\s*\|", text, re.MULTILINE)
        if match is None:
            raise _lacks(file, f"Summary, {row}")
        return match[1]

    def watts(row: str) -> float:
        return number(file, f"Summary, {row}", cell(row))

    return PowerEstimate(
        _version(TOOL_VERSION, text),
        watts("Total On-Chip Power (W)"),
        watts("Dynamic (W)"),
        watts("Device Static (W)"),
        cell("Confidence Level"),
    )


def _version(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""


def _read_table(file: Path) -> str:
    """Read a report in text without empty lines and with one space for many, over which patterns go again and again."""
    lines = (" ".join(line.split()) for line in _read(file).splitlines())
    return "\n".join(filter(None, lines))


def _read(file: Path) -> str:
    try:
        return read_bounded(file, "replace")
    except (OSError, ValueError) as error:
        raise ToolError(f"{file}: the report cannot be read ({reason(error)}); run the stage again") from error


def _lacks(file: Path, section: str) -> ToolError:
    return ToolError(
        f"{file}: the report lacks {section}; is it whole, and of a supported version (docs/guide/bitstream.md)?"
    )


def number(file: Path, section: str, text: str, signed: bool = False) -> float:
    """Read 0 or a number from LEAST_FIGURE to MOST_FIGURE, where it is `signed` also below 0.

    Raises ToolError naming the file and the section for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value == 0 or LEAST_FIGURE <= (abs(value) if signed else value) <= MOST_FIGURE):
        raise ToolError(f"{file}: {section} is {shown(text.strip())}; a number is expected; run the stage again")
    return value


def _integer(file: Path, section: str, text: str) -> int:
    if text == "-":
        return 0
    return round(number(file, section, text))


def _range(least: str, most: str) -> tuple[int, int] | None:
    """Read both ends, None where the tool could not say (`undef`, `?`, `-`)."""
    low, high = whole(least), whole(most)
    return None if low is None or high is None else (low, high)


def _three(cells: list[str]) -> tuple[int, int, int] | None:
    least, average, most = map(whole, cells)
    return None if least is None or average is None or most is None else (least, average, most)


def _cells(text: str, start: str) -> list[str]:
    """Return the cells of the first table row whose first cell begins so."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) > 1 and re.match(start, cells[0]):
            return cells
    return []
