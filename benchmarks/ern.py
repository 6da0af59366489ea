"""Fit ERN (arXiv 2410.11553) at 256x256 to a KV260 beside its published figures; random weights of the published shapes.

    make benchmark-ern   or    .venv/bin/python benchmarks/ern.py [--network NAME ...] [--images N]

Rates and latencies are cycle simulations, resources estimates with their 80 % intervals; the published figures were
measured on the board. The budget is what the published design takes, less the reserve of the board for shell and DMA, and
the device's UltraRAM, into which large weights are loaded at run time. `--images`: random images for the C simulation.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from steps import Steps

import muxflow
from muxflow.board.board import find_board
from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.fit.ceiling import find_ceiling
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Utilisation
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.frontend.training.presets import export_untrained
from muxflow.hls.vitis.csim import compile_csim, run_csim

BOARD, CLOCK_MHZ = "kv260", 200.0
LIMITS = {"fit, 80 % sure": "<= 60 s", "fit, as estimated": "<= 60 s", "compile (native)": "<= 180 s, <= 4 GiB"}
LOADED = 1 << 16
"""Weights of a layer from which they are loaded into UltraRAM: a block holds 294,912 bits, and a loader costs LUTs."""


@dataclass(frozen=True)
class Published:
    """What arXiv 2410.11553 measured on a KV260 at 256x256, batch 1 (tables 6 and 7)."""

    frames_per_second: float
    latency_ms: float
    lut: int = 77_572
    ff: int = 83_805
    bram18: int = 280
    uram: int = 0


PUBLISHED = {"ern18_075": Published(298.5, 3.35), "ern18": Published(277.8, 3.60)}


def fitted(graph: Graph, published: Published, sure: float) -> Design:
    """Fit within the published LUTs and block RAM, and the UltraRAM of the board."""
    device = find_board(BOARD).device
    utilisation = Utilisation(
        lut=published.lut / device.lut, bram18=published.bram18 / device.bram18, uram=1.0, sure=sure
    )
    return muxflow.fit(graph, BOARD, clock_mhz=CLOCK_MHZ, utilisation=utilisation)


def row(table: Table, name: str, design: Design, published: Published) -> None:
    """Add a design to the table."""
    used, least, most = design.resources, design.resources.quantile(0.1), design.resources.quantile(0.9)
    rate = design.frames_per_second
    table.add_row(
        name,
        f"{rate:,.1f} ({rate / published.frames_per_second:.2f}x)",
        f"{1e3 * design.latency_seconds:.2f} ms",
        f"{used.lut:,} ({least.lut:,}-{most.lut:,})",
        f"{used.ff:,} ({least.ff:,}-{most.ff:,})",
        *(f"{amount:,}" for amount in (used.bram18, used.uram, used.dsp)),
    )


def simulate(design: Design, folder: Path, images: int, steps: Steps) -> str:
    """Compile and run the C simulation, and compare it with the graph; returns its rate."""
    project = muxflow.write(design, folder / "project")
    steps.done("write")
    compile_csim(project.hls, "native")
    steps.done("compile (native)")
    shape = design.graph.streams[design.graph.inputs[0]].shape
    codes = np.random.default_rng(0).integers(0, 256, (images, *shape))
    result = run_csim(project.hls, codes, "native")
    steps.done(f"C simulation, {images} images")
    if not np.array_equal(result.outputs, design.graph(codes)):
        raise SystemExit("the C simulation differs from the graph")
    return f"C simulation = graph on {images} images; {result.images_per_second:.2f} images/s on one core (aim: 0.5)"


def main(
    network: Annotated[list[str] | None, typer.Option(help="Presets.")] = None,
    images: Annotated[int, typer.Option(min=0, help="Images to simulate of the first network, side by side.")] = 8,
) -> None:
    """Run the benchmark."""
    console = Console(width=140)
    table = Table(title=f"ERN, 256x256x3, {BOARD}, {CLOCK_MHZ:g} MHz", title_justify="left")
    for column in ("design", "frames/s", "latency", "LUT", "FF", "BRAM18", "URAM", "DSP"):
        table.add_column(column)
    remarks: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(network or PUBLISHED):
            published = PUBLISHED[name]
            table.add_row(
                f"{name}, published (board)",
                f"{published.frames_per_second}",
                f"{published.latency_ms:.2f} ms",
                *(f"{amount:,}" for amount in (published.lut, published.ff, published.bram18, published.uram)),
                "0",
            )
            path = export_untrained(name, Path(scratch) / f"{name}.onnx")
            steps = Steps(name, LIMITS)
            stored = muxflow.load(path)
            large = [n.name for n in stored.nodes if isinstance(n.op, RomWeights) and n.op.weights.size >= LOADED]
            graph = muxflow.load(path, loaded=large)
            steps.done("import")
            design = None
            for label, sure in (("80 % sure", 0.8), ("as estimated", 0.5)):
                try:
                    design = fitted(graph, published, sure)
                except BudgetError as error:
                    remarks.append(f"{name}, {label}: {error}")
                    continue
                finally:
                    steps.done(f"fit, {label}")
                row(table, f"{name}, {label}", design, published)
                remarks.append(f"{name}, {label}: {find_ceiling(design)}")
            if design is not None and images and not number:
                remarks.append(simulate(design, Path(scratch), images, steps))
            console.print(steps.table)
    console.print(table)
    for remark in remarks:
        console.print(remark)


if __name__ == "__main__":
    typer.run(main)
