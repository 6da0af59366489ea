"""The command `muxflow boards`."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from muxflow.cli.console import Json, answer, out


def boards(as_json: Json = False) -> None:
    """List the boards."""
    from muxflow.board.board import boards as known

    def show() -> None:
        table = Table(box=None)
        numeric = ("LUT", "FF", "BRAM18", "DSP", "URAM", "LUT of the shell", "MHz")
        for column in ("board", "part", *numeric, "tools"):
            table.add_column(column, justify="right" if column in numeric else "left")
        for one in known().values():
            d = one.device
            numbers = (f"{d.lut:,}", f"{d.ff:,}", str(d.bram18), f"{d.dsp:,}", str(d.uram), f"{d.reserve.lut:,}")
            table.add_row(one.name, d.part, *numbers, f"{one.clock_mhz:g}", one.tools)
        out.print(table)

    entry = {
        name: {
            "part": b.device.part,
            "lut": b.device.lut,
            "ff": b.device.ff,
            "bram18": b.device.bram18,
            "dsp": b.device.dsp,
            "uram": b.device.uram,
            "reserve": asdict(b.device.reserve),
            "clock_mhz": b.clock_mhz,
            "tools": b.tools,
            "products": b.products,
        }
        for name, b in known().items()
    }
    answer(entry, as_json, show)
