"""CNV and TFC, random weights, through Muxflow and through FINN+ side by side: rate, resources, time taken.

    make benchmark-finn       or    .venv/bin/python benchmarks/finn_plus.py --finn-python build/finn/bin/python

Both sides read the same QONNX file. Muxflow's rates are cycle simulations of the whole pipeline with its FIFOs, and its
resources count width converters and FIFOs. FINN+'s rates are bounds, the clock over the cycles of its slowest node, and
its resources count neither: FIFO depths and simulations need the vendor tool there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table

import muxflow
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.implementation import Cost, Implementation
from muxflow.dataflow.fit.memory import Memory, bram18_count, lutram_count
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import Access, Fold, Op, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo_bnn
from muxflow.hls.kernels import KERNELS

BOARD = "pynq-z2"
FINN_BOARD = "Pynq-Z2"
CLOCK_MHZ = 100.0
ESTIMATE = Path(__file__).with_name("finn_plus") / "estimate.py"

TARGETS = {
    "cnv": (1000, 1500, 2000, 3000, 4000, 5000, 6000),
    "tfc": (10_000, 30_000, 100_000, 1_000_000),
}
"""Target rates that FINN+ folds for, frames/s."""
SHOWN = {"cnv": (1000, 3000, 6000), "tfc": (10_000, 100_000, 1_000_000)}
"""Those that are shown; the fastest design inside the budget is shown in any case."""
COMPARED = {
    "cnv_w1a1": 6000,
    "cnv_w1a2": 3000,
    "cnv_w2a2": 3000,
    "tfc_w1a1": 100_000,
    "tfc_w1a2": 100_000,
    "tfc_w2a2": 100_000,
}
"""The target at whose fold nodes are compared one by one."""
AIMS = {"cnv_w1a1": 6000, "cnv_w1a2": 3000, "cnv_w2a2": 3000}
"""Frames a second that Muxflow should reach inside the budget: BudgetError where it does not."""


@dataclass(frozen=True)
class FinnNode:
    """One node of a folded FINN+ design with its estimates.

    `pe`, `simd`: 1 where the node has none. `depthwise`: a window generator in front of a pool.
    """

    name: str
    op: str
    cycles: int
    lut: int
    bram18: int
    dsp: int
    pe: int = 1
    simd: int = 1
    rows: int = 0
    columns: int = 0
    depthwise: bool = False

    @staticmethod
    def parse(entry: Mapping[str, Any]) -> FinnNode:
        """Read a node of `estimate.py`'s JSON."""
        renamed = {"PE": "pe", "SIMD": "simd", "MH": "rows", "MW": "columns"}
        known = {field.name for field in fields(FinnNode)}
        values = {renamed.get(key, key): value for key, value in entry.items()}
        node = {key: value for key, value in values.items() if key in known}
        return FinnNode(**{**node, "depthwise": bool(node.get("depthwise", False))})


@dataclass(frozen=True)
class FinnDesign:
    """A folded FINN+ design: `resources` without width converters, which `converter_lut` would add, and without FIFOs."""

    target_fps: int
    slowest_cycles: int
    frames_per_second: float
    resources: Resources
    converter_lut: int
    seconds: float
    nodes: tuple[FinnNode, ...]

    @staticmethod
    def parse(entry: Mapping[str, Any]) -> FinnDesign:
        """Read a design of `estimate.py`'s JSON."""
        return FinnDesign(
            entry["target_fps"],
            entry["slowest_cycles"],
            entry["frames_per_second"],
            Resources(entry["lut"], 0, entry["bram18"], entry["dsp"]),
            entry["converters"]["lut"],
            entry["seconds"],
            tuple(FinnNode.parse(node) for node in entry["nodes"]),
        )


def parse_designs(text: str) -> tuple[FinnDesign, ...]:
    """Read the designs in `estimate.py`'s output, in the order of their targets."""
    return tuple(FinnDesign.parse(entry) for entry in json.loads(text)["designs"])


def finn_folds(design: Design) -> dict[str, list[tuple[int, int]]]:
    """Write a design's folds as `estimate.py --folds` takes them."""
    folds: dict[str, list[tuple[int, int]]] = {"MVAU": [], "ConvolutionInputGenerator": [], "Pool": []}
    for node in design.graph.nodes:
        fold = design.folds[node.name]
        if isinstance(node.op, MatrixVector):
            folds["MVAU"].append((fold.pe, fold.simd))
        elif isinstance(node.op, SlidingWindow):
            (lanes,), _ = node.op.lanes(design.graph.ports(node), fold)
            folds["ConvolutionInputGenerator"].append((1, lanes))
        elif isinstance(node.op, Pool):
            folds["Pool"].append((fold.pe, 1))
    return folds


def run_finn(python: Path, model: Path, targets: Sequence[int], ours: Design) -> tuple[FinnDesign, ...]:
    """Run FINN+'s estimate flow in its own environment, for the targets and last for the folds of `ours`.

    Its JSON is kept beside the model.
    """
    if not python.is_file():
        raise SystemExit(f"no FINN+ environment at {python}: `make benchmark-finn` makes it")
    folds = model.with_suffix(".folds.json")
    folds.write_text(json.dumps(finn_folds(ours)))
    command = [str(python), str(ESTIMATE), str(model), "--folds", str(folds)]
    command += ["--board", FINN_BOARD, "--clock-mhz", str(CLOCK_MHZ)]
    for target in targets:
        command += ["--fps", str(target)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"FINN+ failed on {model}:\n" + "\n".join(ran.stderr.splitlines()[-20:]))
    model.with_suffix(".finn.json").write_text(ran.stdout)
    return parse_designs(ran.stdout)


def shown_designs(designs: Sequence[FinnDesign], targets: Sequence[int], budget: Resources) -> list[FinnDesign]:
    """Select the designs for the given targets and the fastest one inside the budget, none of them twice."""
    inside = [design for design in designs if not design.resources.exceeds(budget)]
    fastest = max(inside, key=lambda design: design.frames_per_second, default=None)
    shown: dict[int, FinnDesign] = {}
    for design in designs:
        if design is fastest or design.target_fps in targets:
            shown.setdefault(design.slowest_cycles, design)
    return list(shown.values())


@dataclass(frozen=True)
class Comparison:
    """A node, or a group of nodes that does the same on both sides, under FINN+'s own fold.

    `theirs`, `ours`: estimates; memories are placed as FINN+ places them, so that only the formulas differ.
    """

    label: str
    fold: str
    theirs: Resources
    ours: Resources

    @property
    def ratio(self) -> str:
        """Muxflow's figure over FINN+'s: LUTs, block RAMs."""
        pairs = ((self.ours.lut, self.theirs.lut), (self.ours.bram18, self.theirs.bram18))
        return " / ".join(f"{mine / other:.2f}" if other else "-" for mine, other in pairs)


def formula(graph: Graph, node: Node, fold: Fold) -> Resources:
    """Estimate a node by Muxflow's formulas under any fold that FINN+ may choose, weights in block RAM and all else in LUTs.

    A fold that is not legal here (SIMD 36 of 256 channels) still has an estimate: the formulas divide and round down.
    """
    ports = graph.ports(node)
    cost = KERNELS.of(node.op).cost(node.op, ports, fold)
    total = cost.logic
    for memory in cost.memories:
        total += _placed(memory)
    return total


def _placed(memory: Memory) -> Resources:
    """Place a memory as FINN+ does when nothing is set: weights in block RAM however few, line buffers in LUTs."""
    if memory.kind == "rom":
        return Resources(0, 0, bram18_count(memory.depth, memory.width), 0)
    return Resources(lutram_count(memory.depth, memory.width, memory.writable), 0, 0, 0)


def compare_nodes(graph: Graph, design: FinnDesign) -> Iterator[Comparison]:
    """Pair the nodes that both sides have, in the order of the network.

    Raises SystemExit when the two sides disagree on the matrices of the network.
    """
    producers = graph.producers()

    def ours(kind: type) -> list[Node]:
        return [node for node in graph.nodes if isinstance(node.op, kind)]

    def theirs(op: str, depthwise: bool = False) -> list[FinnNode]:
        return [node for node in design.nodes if node.op.startswith(op) and node.depthwise == depthwise]

    matrices = [graph.streams[node.inputs[1]].shape for node in ours(MatrixVector)]
    if matrices != [(node.rows, node.columns) for node in theirs("MVAU")]:
        raise SystemExit(f"{graph.name}: FINN+ has other matrices than the graph's {matrices}")
    for node, window in zip(ours(SlidingWindow), theirs("ConvolutionInputGenerator"), strict=True):
        fold = Fold(simd=window.simd)
        estimate = Resources(window.lut, 0, window.bram18, window.dsp)
        yield Comparison(f"window {node.name}", f"SIMD {window.simd}", estimate, formula(graph, node, fold))
    for node, mvau in zip(ours(MatrixVector), theirs("MVAU"), strict=True):
        fold = Fold(mvau.pe, mvau.simd)
        product = formula(graph, node, fold) + formula(graph, producers[node.inputs[1]], fold)
        # FINN+ merges thresholds into the node before them, at its PE.
        for reader in graph.consumers()[node.outputs[0]]:
            if isinstance(reader.op, Threshold):
                product += formula(graph, reader, Fold(mvau.pe))
        estimate = Resources(mvau.lut, 0, mvau.bram18, mvau.dsp)
        yield Comparison(f"matrix {node.name}", str(fold), estimate, product)
    windows = theirs("ConvolutionInputGenerator", depthwise=True)
    for node, window, pool in zip(ours(Pool), windows, theirs("Pool"), strict=True):
        estimate = Resources(window.lut + pool.lut, 0, window.bram18 + pool.bram18, 0)
        yield Comparison(f"pool {node.name}", f"PE {pool.pe}", estimate, formula(graph, node, Fold(pool.pe)))


class StrictMatrixVector:
    """The matrix-vector kernel with FINN+'s formula for the LUTs of an MVAU, weights counted at their true width."""

    def access(self, op: MatrixVector, ports: Ports, fold: Fold) -> Access:
        """Give the kernel's own access pattern."""
        return KERNELS.of(op).access(op, ports, fold)

    def cost(self, op: MatrixVector, ports: Ports, fold: Fold) -> Cost:
        """Give the kernel's own cost with other LUTs."""
        x, w = ports.inputs
        bits = w.bits + x.bits
        row = fold.simd * (2 * ceil(bits / 6) - 1) * bits + bits * (2 * fold.simd - 1) + ports.outputs[0].bits
        return replace(KERNELS.of(op).cost(op, ports, fold), lut=int(300 + 1.1 * fold.pe * fold.groups * row))


class StrictKernels:
    """The HLS kernels with `StrictMatrixVector` in the place of theirs."""

    limits = KERNELS.limits
    matrix_vector = StrictMatrixVector()

    def of(self, op: Op) -> Implementation:
        """Find the implementation of an op."""
        return self.matrix_vector if isinstance(op, MatrixVector) else KERNELS.of(op)


def over_budget(resources: Resources, budget: Resources) -> str:
    """Name the resources that exceed the budget."""
    return ", ".join(resources.exceeds(budget))


def amounts(resources: Resources, converter_lut: int | None) -> tuple[str, str, str]:
    """Format LUTs, LUTs of width converters where they are counted apart, block RAMs."""
    return f"{resources.lut:,}", "" if converter_lut is None else f"+ {converter_lut:,}", f"{resources.bram18}"


def our_figures(design: Design, seconds: float) -> tuple[str, ...]:
    """Format the columns of a Muxflow design from its cycles on."""
    return (
        f"{design.slowest_cycles:,}",
        f"{design.frames_per_second:,.0f}",
        "bound" if design.timing is None else "simulation",
        f"{design.latency:,}",
        *amounts(design.resources, None),
        over_budget(design.resources, design.budget),
        f"{seconds:.1f}",
    )


def total_table() -> Table:
    """Make the empty table of whole designs."""
    table = Table(title=f"{FINN_BOARD} at {CLOCK_MHZ:g} MHz", title_justify="left")
    for column in ("network", "design", "target", "cycles", "frames/s", "by", "latency", "LUT", "converters", "BRAM18"):
        justify: JustifyMethod = "left" if column in ("network", "design", "by") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    table.add_column("over budget", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    return table


def node_table(graph: Graph, design: FinnDesign) -> Table:
    """Tabulate the nodes that both sides have at the fold of a FINN+ design."""
    title = f"{graph.name}: the nodes of both at FINN+'s folds for {design.target_fps:,} frames/s"
    table = Table(title=title, title_justify="left")
    for column in ("node", "fold", "LUT FINN+", "LUT Muxflow", "BRAM18 FINN+", "BRAM18 Muxflow", "ratio LUT / BRAM18"):
        table.add_column(column, justify="left" if column in ("node", "fold") else "right")
    rows = list(compare_nodes(graph, design))
    theirs, ours = Resources(), Resources()
    for row in rows:
        theirs, ours = theirs + row.theirs, ours + row.ours
    for row in (*rows, Comparison("all of these", "", theirs, ours)):
        figures = (row.theirs.lut, row.ours.lut, row.theirs.bram18, row.ours.bram18)
        table.add_row(row.label, row.fold, *(f"{figure:,}" for figure in figures), row.ratio)
    return table


def main(
    finn_python: Annotated[Path, typer.Option(help="Python of the environment that FINN+ is in.")] = Path(
        "build/finn/bin/python"
    ),
    networks: Annotated[str, typer.Option(help="Networks, with commas between.")] = ",".join(zoo_bnn.PRESETS),
    output: Annotated[Path, typer.Option(help="Folder for models and FINN+'s figures.")] = Path("build/finn_plus"),
) -> None:
    """Run the benchmark."""
    console = Console(width=155)
    output.mkdir(parents=True, exist_ok=True)
    totals = total_table()
    details: list[Table] = []
    for name in networks.split(","):
        print(name, file=sys.stderr, flush=True)
        model = zoo_bnn.randomise(zoo_bnn.build(name))
        path = export(model, output / f"{name}.onnx", (1, *model.config.input_shape))
        targets = TARGETS[model.config.topology]
        # The cheapest design at the aim, then the fastest one: FINN+'s figures that are kept are those of the last run.
        for fps in (AIMS[name], None) if name in AIMS else (None,):
            started = time.perf_counter()
            graph = muxflow.load(path)
            design = muxflow.fit(graph, BOARD, clock_mhz=CLOCK_MHZ, fps=fps)
            seconds = time.perf_counter() - started
            *designs, same_folds = run_finn(finn_python, path, targets, design)
            totals.add_row(name, "Muxflow", "fastest" if fps is None else f"{fps:,}", *our_figures(design, seconds))
            totals.add_row(
                "",
                "its folds by FINN+",
                *[""] * 5,
                *amounts(same_folds.resources, same_folds.converter_lut),
                over_budget(same_folds.resources, design.budget),
            )
        started = time.perf_counter()
        strict = muxflow.fit(graph, BOARD, clock_mhz=CLOCK_MHZ, implementations=StrictKernels())
        figures = our_figures(strict, time.perf_counter() - started)
        totals.add_row("", "Muxflow, strict", "fastest", *figures)
        for other in shown_designs(designs, SHOWN[model.config.topology], design.budget):
            totals.add_row(
                "",
                "FINN+",
                f"{other.target_fps:,}",
                f"{other.slowest_cycles:,}",
                f"{other.frames_per_second:,.0f}",
                "bound",
                "",
                *amounts(other.resources, other.converter_lut),
                over_budget(other.resources, design.budget),
                f"{other.seconds:.1f}",
            )
        totals.add_section()
        details.append(node_table(graph, next(other for other in designs if other.target_fps == COMPARED[name])))
    console.print(totals)
    console.print(
        "cycles: of the slowest node. latency: cycles of one image. LUT: Muxflow's with width converters and FIFOs;\n"
        "FINN+'s total has neither, its converters stand beside it. its folds by FINN+: the design above as FINN+'s formulas\n"
        "count it. strict: with FINN+'s LUT formula for matrix-vector nodes, all else counted as here.\n"
        "Budget: 70 % of the LUTs, 90 % of the block RAMs. seconds: one design, without starting Python."
    )
    for table in details:
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
