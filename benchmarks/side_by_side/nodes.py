"""The nodes that both sides have, at FINN+'s folds: its formulas and ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table

from muxflow.against.finn_designs import FinnDesign
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.memory import Memory, bram18_count, lutram_count
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS


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
    if memory.registers:
        return Resources(0, memory.bits, 0, 0)
    if memory.kind == "rom":
        return Resources(0, 0, bram18_count(memory.depth, memory.width), 0)
    return Resources(max(1, memory.lanes) * lutram_count(memory.depth, memory.width, memory.writable), 0, 0, 0)


def compare_nodes(graph: Graph, design: FinnDesign) -> Iterator[Comparison]:
    """Pair the nodes that both sides have, in the order of the network.

    Raises SystemExit when the two sides disagree on the matrices of the network.
    """
    producers = graph.producers()

    def ours(kind: type) -> list[Node]:
        return [node for node in graph.nodes if isinstance(node.op, kind)]

    matrices = [graph.streams[node.inputs[1]].shape for node in ours(MatrixVector)]
    if matrices != [(node.rows, node.columns) for node in design.of("MVAU")]:
        raise SystemExit(f"{graph.name}: FINN+ has other matrices than the graph's {matrices}")
    for node, window in zip(ours(SlidingWindow), design.of("ConvolutionInputGenerator"), strict=True):
        fold = Fold(simd=window.simd)
        estimate = Resources(window.lut, 0, window.bram18, window.dsp)
        yield Comparison(f"window {node.name}", f"SIMD {window.simd}", estimate, formula(graph, node, fold))
    for node, mvau in zip(ours(MatrixVector), design.of("MVAU"), strict=True):
        fold = Fold(mvau.pe, mvau.simd)
        product = formula(graph, node, fold) + formula(graph, producers[node.inputs[1]], fold)
        # FINN+ merges thresholds into the node before them, at its PE.
        for reader in graph.consumers()[node.outputs[0]]:
            if isinstance(reader.op, Threshold):
                product += formula(graph, reader, Fold(mvau.pe))
        estimate = Resources(mvau.lut, 0, mvau.bram18, mvau.dsp)
        yield Comparison(f"matrix {node.name}", str(fold), estimate, product)
    windows = design.of("ConvolutionInputGenerator", depthwise=True)
    for node, window, pool in zip(ours(Pool), windows, design.of("Pool"), strict=True):
        estimate = Resources(window.lut + pool.lut, 0, window.bram18 + pool.bram18, 0)
        yield Comparison(f"pool {node.name}", f"PE {pool.pe}", estimate, formula(graph, node, Fold(pool.pe)))


def node_table(graph: Graph, design: FinnDesign) -> Table:
    """Tabulate the nodes that both sides have at the fold of a FINN+ design."""
    title = f"{graph.name}: the nodes of both at FINN+'s folds for {design.target_fps:,} frames/s, width {design.wwidth_max}"
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
