"""Fit the MobileNet with hybrid banks and its twins to one board, and set them side by side.

    make benchmark-mobilenet   or    .venv/bin/python benchmarks/mobilenet.py [--board NAME]

The shipped networks for 28x28 digits: hybrid, all filters precise, all ternary. Accuracies are those of their trainings on
the held-out digits; intervals and latencies are cycle simulations, resources and energies estimates.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import muxflow
from muxflow.dataflow.quantities import rounded
from muxflow.frontend.training.result import PRETRAINED
from muxflow.reports.gather.report import make_report
from muxflow.reports.schema.report import Report

NETWORKS = ("mobilenet_hybrid_mnist", "mobilenet_hybrid_mnist_precise", "mobilenet_hybrid_mnist_ternary")
"""The hybrid network, its twin without ternary filters, and the one without precise filters in its pointwise layers."""


def row(name: str, report: Report, twin: Report) -> tuple[str, ...]:
    """Give a network's figures, shares of the twin's in brackets."""
    facts = json.loads((PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))
    bits, most = report.weight_bits[0], twin.weight_bits[0]
    return (
        name,
        f"{100 * facts['accuracy']:.1f} % of {facts['images']:,}",
        f"{bits:,} ({100 * bits / most:.0f} %)",
        f"{report.interval:,}",
        f"{report.frames_per_second:,.0f}",
        f"{report.latency:,}",
        *(f"{report.used[amount]:,}" for amount in ("LUT", "FF", "BRAM18", "DSP")),
        f"{rounded(report.microjoules)} ({100 * report.microjoules / twin.microjoules:.0f} %)",
    )


def main(board: Annotated[str, typer.Option(help="The board that all are fitted to.")] = "pynq-z2") -> None:
    """Run the benchmark."""
    reports = {name: make_report(muxflow.fit(muxflow.load(PRETRAINED / f"{name}.onnx"), board)) for name in NETWORKS}
    twin = reports[NETWORKS[1]]
    table = Table(title=f"MobileNet, 28x28 digits, {board}, {twin.clock_mhz:g} MHz", title_justify="left")
    columns = ("network", "right", "weight bits", "interval", "frames/s", "latency", "LUT", "FF", "BRAM18", "DSP", "µJ")
    for column in columns:
        table.add_column(column)
    for name, report in reports.items():
        table.add_row(*row(name, report, twin))
    console = Console(width=160)
    console.print(table)
    console.print(f"interval and latency: cycles ({twin.interval_is}); µJ a frame: estimate, {twin.energy_source}")


if __name__ == "__main__":
    typer.run(main)
