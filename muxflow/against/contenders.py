"""Builds that stand side by side: Muxflow's own, and what others' folds of the same network come to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import muxflow
from muxflow.against.finn_designs import LayerFolds, run_finn
from muxflow.against.pricing import Pricing
from muxflow.dataflow.errors import BudgetError, MuxflowError, UnsupportedError, UsageError
from muxflow.dataflow.files import check_file
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.op import divisors
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.quantities import counted
from muxflow.frontend.registry import whole
from muxflow.reports.gather.report import make_report
from muxflow.reports.side_by_side import Contender

Tell = Callable[[str], None]
STEPS = 12
"""Rates that FINN+ folds for: from an eighth of the project's to twice it, evenly in proportion (decision)."""
WIDTHS = (36, 128, 512, 2048)
"""Limits on stream widths that FINN+ folds with, bits (decision: fewer than the benchmark has)."""
NOT_OF_HLS4ML = frozenset(("ChannelSelect", "LstmCell", "MuxJoin", "OrJoin", "ThermometerEncode"))
"""Ops that hls4ml has no layer of: its LSTM and GRU are of floats' functions, and no front end of 1.3.0 reads QuantLSTMCell."""
MOST_AXES = 3
"""Of a stream that hls4ml has windows on: height, width and channels."""
JOINS = ("AddJoin", "Concat")
"""Ops of several inputs that it has layers of."""


@dataclass(frozen=True)
class Entrant:
    """A project whose network others fold too: its design, and the QONNX file that it keeps of the model, None for none."""

    design: Design
    model: Path | None

    @property
    def graph(self) -> Graph:
        """The network, without what folding has put in."""
        return unfolded(self.design.graph)

    @property
    def pricing(self) -> Pricing:
        """What prices a design of the network on the project's board, at its clock, inside its budget."""
        design = self.design
        return Pricing(
            self.graph, design.utilisation, device=design.device, board=design.board, clock_mhz=design.clock_mhz
        )


def finn(entrant: Entrant, tell: Tell) -> Contender:
    """Give FINN+'s fastest design inside the budget, as the benchmark does: its folds, priced as Muxflow's own are."""
    design, model = entrant.design, entrant.model
    if model is None or model.suffix != ".onnx":
        raise UnsupportedError("the project keeps no QONNX file; FINN+ reads one")
    check_file(model, "FINN+ reads a QONNX file; build the project again")
    check_bytes(str(model), model.stat().st_size)
    rate = design.frames_per_second
    targets = sorted({max(1, round(rate / 8 * 16 ** (step / (STEPS - 1)))) for step in range(STEPS)})
    import onnx

    from muxflow.frontend.qonnx.defaults import with_defaults

    with scratch_folder() as folder:
        copy = folder / "model.onnx"
        copy.write_bytes(with_defaults(onnx.load_from_string(whole(model))).SerializeToString())
        more = {"part": design.device.part, "clock_mhz": design.clock_mhz}
        swept, _ = run_finn(Path(sys.executable), copy, targets, (), WIDTHS, tell, **more)  # type: ignore[arg-type]
    best = entrant.pricing.fastest(swept, tell)
    if best is None:
        raise BudgetError(f"none of {counted(len(swept), 'design')} of FINN+ is inside the budget with its FIFOs")
    own = best.theirs
    remark = (
        f"FINN+'s folds for {own.target_fps:,} frames/s, priced by Muxflow's cost model and cycle simulation; FINN+'s own "
        f"figures: {own.resources.lut:,} + {own.converter_lut:,} LUT, {own.resources.bram18} BRAM18, at most "
        f"{own.frames_per_second:,.0f} frames/s (estimates, no FIFOs); folds adapted: {'; '.join(best.adapted) or 'none'}"
    )
    return _priced(TITLES["finn"], best.ours, remark)


def hls4ml(entrant: Entrant, tell: Tell) -> Contender:
    """Give the smallest ReuseFactor, one for all layers, whose folds are inside the budget, priced as Muxflow's own are.

    Of strategy Resource, whose multipliers do several products of a pixel: a layer that the factor is not legal for takes the
    closest one that is, as hls4ml 1.3.0 has it (`get_valid_reuse_factors`, `get_closest_reuse_factor`). A layer of
    ReuseFactor R does its products of a pixel in R cycles: so with a dense layer or convolution
    (`nnet_dense_resource.h`), and with a depthwise one, whose products are one for each weight and whose loop ends after as
    many cycles (`nnet_depthwise_product.h`). Of several filters a channel 1.3.0 makes a layer whose outputs differ from the
    model's, so these are none of its layers. Decision: which rows and columns these are, the cost model chooses; hls4ml
    itself says nothing of LUTs without the vendor's tool.
    """
    layers, pricing = _layers(entrant.graph), entrant.pricing
    tried: set[tuple[int, ...]] = set()
    for reuse in sorted({factor for layer in layers for factor in layer.legal}):
        factors = tuple(layer.closest(reuse) for layer in layers)
        if factors in tried:
            continue
        tried.add(factors)
        tell(f"ReuseFactor {reuse}")
        both = list(zip(layers, factors, strict=True))
        slowest = max(layer.vectors * layer.cycles(factor) for layer, factor in both)
        folds = LayerFolds(tuple(layer.fold(factor) for layer, factor in both), (), slowest, any_split=True)
        try:
            built, _ = pricing.unsized(folds)
            if built.resources.exceeds(built.allowance):
                continue
            priced, adapted = pricing.price(folds)
        except BudgetError:
            continue
        if not priced.resources.exceeds(priced.allowance):
            closest = "; ".join(f"{layer.name} {factor}" for layer, factor in both if factor != reuse)
            remark = (
                f"ReuseFactor {reuse} for all layers{f' (closest legal one: {closest})' if closest else ''}, priced by "
                "Muxflow's cost model and cycle simulation; hls4ml's own figures need the vendor's tool: not run; folds "
                f"adapted: {'; '.join(adapted) or 'none'}"
            )
            return _priced(TITLES["hls4ml"], priced, remark)
    raise BudgetError("no ReuseFactor is inside the budget with its FIFOs")


@dataclass(frozen=True)
class ReusedLayer:
    """A layer of hls4ml: rows and columns of its weights, the vectors of a frame, and whether it is depthwise."""

    name: str
    rows: int
    columns: int
    vectors: int
    depthwise: bool

    @cached_property
    def legal(self) -> tuple[int, ...]:
        """The factors that hls4ml 1.3.0 takes for it, ascending.

        Those that divide the inputs of a window, and these times what divides the outputs.
        """
        inputs = self.columns * (self.rows if self.depthwise else 1)
        return tuple(sorted({*divisors(inputs), *(inputs * number for number in divisors(self.rows))}))

    def closest(self, reuse: int) -> int:
        """Give the legal factor that is closest to one, the smaller of two."""
        return min(self.legal, key=lambda factor: (abs(factor - reuse), factor))

    def cycles(self, reuse: int) -> int:
        """Count the cycles of a pixel."""
        return min(reuse, self.rows * self.columns)

    def fold(self, reuse: int) -> tuple[int, int]:
        """Give PE and SIMD of as many products a cycle, all columns of a row at once where there are enough."""
        products = self.rows * self.columns // self.cycles(reuse)
        return (products // self.columns, self.columns) if products % self.columns == 0 else (1, products)


def _layers(graph: Graph) -> list[ReusedLayer]:
    """List the layers with weights; raises UnsupportedError naming a layer that hls4ml has not, or where none is."""
    producers, found = graph.producers(), []
    for node in graph.nodes:
        several = len(graph.data_inputs(node)) > 1
        if node.op.kind in NOT_OF_HLS4ML or (several and node.op.kind not in JOINS):
            raise UnsupportedError(f"{node.name} ({node.op.kind}): hls4ml has no such layer")
        if isinstance(node.op, SlidingWindow) and len(graph.streams[node.inputs[0]].shape) > MOST_AXES:
            raise UnsupportedError(f"{node.name}: hls4ml has no windows of three axes")
        if not isinstance(node.op, MatrixVector):
            continue
        source, weights = producers[node.inputs[1]], graph.streams[node.inputs[1]]
        if source.op.saved_bits(graph.ports(source)):
            raise UnsupportedError(f"{node.name}: hls4ml has no generated weights")
        rows, columns = weights.shape
        depthwise = node.op.groups == rows > 1 and columns == node.op.pixels
        if node.op.groups > 1 and not depthwise:
            each = (
                f"{counted(rows // node.op.groups, 'filter')} of {counted(columns // node.op.pixels, 'channel')} each"
            )
            raise UnsupportedError(
                f"{node.name}: of convolutions in groups hls4ml has those of one filter of one channel each (depthwise), "
                f"not {node.op.groups} groups with {each}"
            )
        found.append(ReusedLayer(node.name, rows, columns, weights.repeats, depthwise))
    if not found:
        raise UnsupportedError(f"{graph.name}: no layer with weights, so no ReuseFactor")
    return found


def _priced(title: str, design: Design, remark: str) -> Contender:
    report = make_report(design, version=muxflow.__version__)
    return Contender(title, replace(report, network=f"{report.network}, folds of {title}"), remark)


AGAINST: Mapping[str, Callable[[Entrant, Tell], Contender]] = {"finn": finn, "hls4ml": hls4ml}
"""Whom a network can be set against, by name."""


TITLES = {"finn": "FINN+", "hls4ml": "hls4ml"}
"""What their columns are called, with a result or without."""


def check_against(names: str) -> tuple[str, ...]:
    """Give the names in a list with commas; raises UsageError for one that is not known."""
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    if wrong := [name for name in chosen if name not in AGAINST]:
        raise UsageError(f"--against {wrong[0]!r}; supported: {', '.join(AGAINST)}")
    return chosen


def against(name: str, entrant: Entrant, tell: Tell = lambda _: None) -> Contender:
    """Give another tool's build of a network; where it has none, a contender that says why."""
    try:
        return AGAINST[name](entrant, tell)
    except MuxflowError as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
        return Contender(TITLES[name], None, f"not run: {reason}")
