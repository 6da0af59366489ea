"""Whole designs of FINN and BNN-PYNQ, predicted at their own folds by the resource model, against what was placed.

    .venv/bin/python benchmarks/calibrate_designs.py

Random weights of the same types and shapes. Ours at those folds, so with what ours has besides: a process each for products
and thresholds, and a FIFO between them. "as built there": with the input buffers of the matrices in registers, and the
weights streamed through a register slice, as FINN's and BNN-PYNQ's are; ours are memories, read in place. Whole chips with
the board's reserve for the shell.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrate.fitting import Fitted, fit
from calibrate_resources import shipped_rows
from rich.console import Console
from rich.table import Table

import muxflow
from muxflow.board.board import ZYNQ_7000_SHELL
from muxflow.dataflow.fit.design import Design, build_design
from muxflow.dataflow.fit.device import Device, Resources, Utilisation
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo_bnn
from muxflow.hls.kernels import KERNELS

RESULTS = Path(__file__).with_name("calibrate") / "vendor_results"
BLOCKS = 3000
"""So many that a memory goes where it takes fewest LUTs, as these designs have their weights in block RAM."""

CNV = ((16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (5, 1))
CNV_W2A2 = ((8, 3), (16, 16), (8, 16), (8, 16), (4, 8), (1, 8), (1, 2), (2, 2), (5, 1))
"""PE and SIMD by layer, as the tables tell them."""


@dataclass(frozen=True)
class Placed:
    """A design that others placed: the network, the folds, LUTs and flip-flops, and what they include."""

    network: str
    folds: tuple[tuple[int, int], ...]
    lut: int
    ff: int
    what: str


def placed_designs() -> list[Placed]:
    """List the designs whose folds are known."""
    found = []
    with (RESULTS / "published-designs.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["network"].startswith("CNV"):
                folds = CNV_W2A2 if row["network"] == "CNV W2A2" else CNV
                found.append(Placed(row["network"], folds, int(row["lut"]), int(row["ff"]), row["what"]))
    known = {"cnvW1A1 BBJ": ("CNV W1A1", CNV), "cnvW1A2 BBJ": ("CNV W1A2", CNV), "cnvW2A2 BBJ": ("CNV W2A2", CNV_W2A2)}
    with (RESULTS / "designs.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for start, (network, folds) in known.items():
                if row["design"].startswith(start):
                    found.append(Placed(network, folds, int(row["lut"]), int(row["ff"]), row["scope"]))
    return found


def leaders(graph: Graph, folds: Sequence[tuple[int, int]]) -> dict[str, Fold]:
    """Give the matrices these folds, and every other leading node the legal fold that keeps up with the one before it."""
    found: dict[str, Fold] = {}
    left = iter(folds)
    lanes = 1
    for node in graph.nodes:
        if node.op.folds_with_reader:
            continue
        ports = graph.ports(node)
        if isinstance(node.op, MatrixVector):
            found[node.name] = Fold(*next(left))
            lanes = found[node.name].pe
        else:
            found[node.name] = min(node.op.folds(ports), key=lambda fold: (abs(fold.parallel - lanes), fold.parallel))
    return found


def predict(network: str, folds: Sequence[tuple[int, int]]) -> Design:
    """Build our design of the network at the folds."""
    model = zoo_bnn.randomise(zoo_bnn.build(network.lower().replace(" ", "_")))
    with tempfile.TemporaryDirectory() as scratch:
        graph = muxflow.load(export(model, Path(scratch) / "model.onnx", (1, *model.config.input_shape)))
    graph = insert_forks(graph)
    return build_design(
        graph,
        leaders(graph, folds),
        KERNELS,
        device=Device("xc7z020", 53200, 106400, BLOCKS, 220),
        board="any",
        clock_mhz=100,
        utilisation=Utilisation(1, 1, 1, 1),
    )


SLICE = 2
"""Flip-flops a bit of a register slice."""


def as_built_there(design: Design, fitted: Fitted) -> Resources:
    """Give what input buffers in registers and streamed weights take, by the fit, beyond what ours take as memories."""
    weights = sum(design.graph.streams[name].beat_bits for name in design.folded.in_place)
    lut = weights * fitted.units["lut"]["weight_stream.bit"]
    ff = float(weights * SLICE)
    for node in design.graph.nodes:
        for placed in design.memories[node.name]:
            if placed.memory.name == "x_buffer":
                for amount, number in (("bit", placed.memory.bits), ("word", placed.memory.depth)):
                    lut += number * fitted.units["lut"][f"finn_buffer.{amount}"]
                    ff += number * fitted.units["ff"][f"finn_buffer.{amount}"]
                lut, ff = lut - placed.lut, ff - placed.ff
    return Resources(round(lut), round(ff))


def main() -> None:
    """Print the table."""
    table = Table(title="Whole designs at their own folds: measured, ours predicted, ratio", title_justify="left")
    for column in ("network", "measured design"):
        table.add_column(column)
    for name in ("LUT", "FF"):
        for column in (name, "ours", "ratio", "as built there", "ratio"):
            table.add_column(column, justify="right")
    fitted = fit(shipped_rows())
    made = {(one.network, one.folds): predict(one.network, one.folds) for one in placed_designs()}
    for one in placed_designs():
        design = made[one.network, one.folds]
        ours = design.resources + (ZYNQ_7000_SHELL if "whole chip" in one.what else Resources())
        theirs = ours + as_built_there(design, fitted)
        cells = []
        for met, mine, alike in ((one.lut, ours.lut, theirs.lut), (one.ff, ours.ff, theirs.ff)):
            cells += [f"{met:,}", f"{mine:,}", f"{mine / met:.2f}", f"{alike:,}", f"{alike / met:.2f}"]
        table.add_row(one.network, one.what, *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
