"""The fit of the resource model to vendor results."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.resource_model import FILE

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NODES = BENCHMARKS / "calibrate" / "vendor_results" / "nodes.csv"


@pytest.fixture
def calibrate(monkeypatch):
    pytest.importorskip("scipy", reason="the fit needs scipy, which scikit-learn brings: .[base]")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import calibrate_resources

    return calibrate_resources


def test_the_file_is_that_of_the_rows(calibrate):
    """Same rows, same bytes; every op within its aim, held out by campaign."""
    rows = calibrate.shipped_rows()
    whole, without, text = calibrate.calibration(rows)
    assert text == FILE.read_text()
    # A library FIFO is one of two sizes, converters of few LUTs are RTL: see docs/design/resources.md.
    explained = {"lut": {"StreamingFIFO_vivado", "StreamingDataWidthConverter"}, "ff": set()}
    for op in calibrate.ORDER:
        part = [row for row in rows if row.op == op]
        for resource in ("lut", "ff"):
            for models in (whole, without):
                errors = sorted(abs(calibrate.ratios(part, models, resource) - 1))
                if op not in explained[resource] and errors:
                    assert errors[len(errors) // 2] <= 0.15, (op, resource)


def test_blocks_and_dsp_are_exact_but_for_what_is_explained(calibrate):
    blocks, dsp = calibrate.exactness(calibrate.shipped_rows())
    assert re.match(r"bram18: 560 of 563 rows exact", blocks)
    assert re.match(r"dsp: 853 of 854 rows exact", dsp)


def test_check_on_another_table(tmp_path):
    """The command prints the errors of each op of a table and writes nothing."""
    pytest.importorskip("scipy", reason="the fit needs scipy, which scikit-learn brings: .[base]")
    lines = NODES.read_text().splitlines()
    table = tmp_path / "other.csv"
    table.write_text("\n".join([lines[0], *(line for line in lines if ",StreamingMaxPool," in line)]) + "\n")
    output = tmp_path / "none.toml"
    command = [sys.executable, BENCHMARKS / "calibrate_resources.py", "--check", table, "--output", output]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "16 of 16 lines compared\n" in ran.stdout
    assert "StreamingMaxPool" in ran.stdout and "MVAU" not in ran.stdout and not output.exists()


def with_cell(text, column, value):
    """Change a cell of a table of one row."""
    titles, cells = (line.split(",") for line in text.splitlines())
    cells[titles.index(column)] = value
    return f"{','.join(titles)}\n{','.join(cells)}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(",op,", ",operator,", 1), "has no column op"),
        (lambda text: text.replace(",UINT3,", ",FLOAT32,", 1), "line 2: .*data type 'FLOAT32'"),
        (lambda text: text.replace(",416x416,", ",large,", 1), "line 2: .*IFMDim is 'large'; expected HxW"),
        (lambda text: "", "has no column op"),
        (lambda text: text.replace(",syn_lut,", ",lut,", 1), "has no column syn_lut"),
        (lambda text: text.replace(",PoolDim,", ",Pool,", 1), "line 2: .*there is no column PoolDim"),
        (lambda text: with_cell(text, "syn_lut", "0"), "line 2: .*syn_lut is 0; expected a number above 0"),
        (lambda text: with_cell(text, "syn_ff", "nan"), "line 2: .*syn_ff is nan; expected a number from 0"),
        (lambda text: with_cell(text, "NumChannels", "-4"), "line 2: .*NumChannels is -4; expected a number from 0"),
        (lambda text: with_cell(text, "syn_bram18", "two"), "line 2: .*syn_bram18 is 'two'; expected a number"),
        (lambda text: with_cell(text, "input_dt", "INT0"), "line 2: .*data type 'INT0'"),
        (lambda text: text[:-20], "line 2: .* cells under .* titles; is the file cut off?"),
        (lambda text: text.splitlines()[0], r"no row .*\(0 lines, ops: none\)"),
        (
            lambda text: text.replace("StreamingMaxPool", "Softmax"),
            r"no row .*\(1 lines, ops: Softmax\); expected .*MVAU",
        ),
        (lambda text: with_cell(text, "syn_lut", ""), r"no row .*\(1 lines, ops: StreamingMaxPool\)"),
    ],
)
def test_damaged_table(calibrate, tmp_path, change, message):
    from calibrate.rows import read_table

    lines = NODES.read_text().splitlines()
    text = "\n".join([lines[0], next(line for line in lines if ",StreamingMaxPool," in line and ",416x416," in line)])
    file = tmp_path / "nodes.csv"
    file.write_text(change(text))
    with pytest.raises(MuxflowError, match=f"{re.escape(str(file))}.*{message}"):
        read_table(file)
    with pytest.raises(MuxflowError, match="cannot be read"):
        read_table(tmp_path / "none.csv")


def test_lines_that_are_left_out_are_counted_and_odd_folds_refused(calibrate, tmp_path):
    from calibrate.rows import read_table

    whole = read_table(NODES)
    assert whole.left_out and sum(whole.left_out.values()) + len(whole.rows) == len(NODES.read_text().splitlines()) - 1
    assert (
        whole.remark().startswith(f"{len(whole.rows)} of ")
        and " of a device that ran out of DSP blocks" in whole.remark()
    )
    lines = NODES.read_text().splitlines()
    used = next(row.name for row in whole.rows if row.op == "MVAU")
    text = "\n".join([lines[0], next(line for line in lines if line.startswith(f"{used},"))])
    file = tmp_path / "nodes.csv"
    for lanes, folded in (("PE", "MH"), ("SIMD", "MW")):
        file.write_text(with_cell(text, lanes, "7919"))
        with pytest.raises(MuxflowError, match=f"line 2: MVAU: {lanes} is 7919, which does not divide {folded}, "):
            read_table(file)


def test_a_damaged_table_ends_the_command_with_its_name(tmp_path):
    pytest.importorskip("scipy", reason="the fit needs scipy, which scikit-learn brings: .[base]")
    table = tmp_path / "half.csv"
    table.write_bytes(NODES.read_bytes()[:3000])
    command = [sys.executable, BENCHMARKS / "calibrate_resources.py", "--check", table]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"{table}, line ") and "is the file cut off?" in ran.stderr
