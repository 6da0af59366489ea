"""The resource model fitted to results of vendor tools, with its errors.

    make calibrate                    fit, print the errors, write dataflow/fit/resource_model.toml
    make calibrate CHECK=file.csv     print the errors on another table (columns as in vendor_results/nodes.csv)

Errors are those of estimates against measured LUTs and flip-flops: half are below the median in size, four fifths lie
between the 10th and the 90th percentile. "held out": each campaign (a source, or the networks of one kind in a large
one) predicted by the fit of the others, for the rows whose amounts the others have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from calibrate.fitting import ORDER, Fitted, file_text, fit, held_out, ratios, spread
from calibrate.rows import Row, read_table, read_units
from rich.console import Console
from rich.table import Table

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.fit.resource_model import FILE

RESULTS = Path(__file__).with_name("calibrate") / "vendor_results"


def shipped_rows() -> list[Row]:
    """Read the rows that ship with the project."""
    return [*read_table(RESULTS / "nodes.csv").rows, *read_units(RESULTS / "mvu-hls.csv")]


def calibration(rows: Sequence[Row]) -> tuple[Fitted, dict[str, Fitted], str]:
    """Fit the model: with all rows, without each campaign, and the text of its file."""
    whole, without = fit(rows), held_out(rows)
    spreads = {resource: spread(rows, whole, without, resource) for resource in ("lut", "ff")}
    return whole, without, file_text(whole, spreads, f"{len(rows)} nodes of {', '.join(without)}")


def _cells(rows: Sequence[Row], models: Mapping[str, Fitted] | Fitted) -> list[str]:
    found = []
    for resource in ("lut", "ff"):
        errors = 100 * (ratios(rows, models, resource) - 1)
        if not len(errors):
            return ["0", *["-"] * 4]
        low, high = np.percentile(errors, [10, 90])
        found += [f"{np.median(np.abs(errors)):.0f}", f"{low:+.0f} to {high:+.0f}"]
    return [str(len(errors)), *found]


def error_table(rows: Sequence[Row], whole: Fitted, without: Mapping[str, Fitted] | None) -> Table:
    """Lay out errors in per cent, one row an op."""
    table = Table(title="Estimate against measured, errors in per cent", title_justify="left")
    table.add_column("op")
    titles = ("rows", "LUT median", "10th to 90th", "FF median", "10th to 90th")
    for title in (*titles, *(f"held out: {title}" for title in titles if without)):
        table.add_column(title, justify="right")
    for op in ORDER:
        part = [row for row in rows if row.op == op]
        if part:
            table.add_row(op, *_cells(part, whole), *(_cells(part, without) if without else ()))
    return table


def exactness(rows: Sequence[Row]) -> list[str]:
    """Say how many block RAM and DSP counts are met, and list the others."""
    lines = []
    for name in ("bram18", "dsp"):
        known = [(row, getattr(row, f"planned_{name}"), getattr(row, name)) for row in rows]
        known = [entry for entry in known if entry[1] is not None]
        odd = [f"{row.name}: {planned:g} planned, {met:g} measured" for row, planned, met in known if planned != met]
        lines.append("; ".join([f"{name}: {len(known) - len(odd)} of {len(known)} rows exact", *odd[:20]]))
    return lines


def main(
    check: Annotated[Path | None, typer.Option(help="A table to print the errors on; nothing is written.")] = None,
    output: Annotated[Path, typer.Option(help="The file to write.")] = FILE,
) -> None:
    """Fit the model."""
    console = Console(width=150)
    rows = shipped_rows()
    try:
        if check:
            others = read_table(check)
            console.print(error_table(others.rows, fit(rows), None), *exactness(others.rows), others.remark(), sep="\n")
            return
    except MuxflowError as error:
        raise SystemExit(str(error)) from error
    whole, without, text = calibration(rows)
    console.print(error_table(rows, whole, without), *exactness(rows), sep="\n")
    same = output.exists() and output.read_text() == text
    if not same:
        write_atomically(output, text.encode())
    console.print(f"{output.name}: {'unchanged' if same else 'written'}")


if __name__ == "__main__":
    typer.run(main)
