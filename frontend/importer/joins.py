"""Import of joins of two streams, and of generated weights."""

from __future__ import annotations

from functools import reduce

import numpy as np

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.common_grid import common_grid
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.spatial import meet
from muxflow.frontend.importer.codes import attribute, codes_of, scale_of, unsigned_codes, whole
from muxflow.frontend.importer.compositions import composed
from muxflow.frontend.importer.elementwise import with_constant
from muxflow.frontend.importer.float_chain import constant_step
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import axis_of
from muxflow.frontend.importer.products import aligned, sums_exactly
from muxflow.frontend.importer.values import Doubles, Generated, Tensor, Value, compact
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import MUXFLOW, Constant, ModelNode


def _meaning(importer: Importer, node: ModelNode, tensor: Tensor, rows: int) -> tuple[Doubles, Doubles]:
    """Return scale and offset of the codes of one side of a join, of at most so many rows.

    Raises UnsupportedError where the side is no affine map of its codes, or one of more rows.
    """
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(
            f"{node.label}: one side passes {names} after its last integer stream, without a quantizer; put an "
            "activation quantizer on both sides of the join"
        )
    if max(part.size for part in meaning) > rows:
        raise UnsupportedError(
            f"{node.label}: one side is scaled or shifted pixel by pixel; put a quantizer on it before the join"
        )
    return meaning


@handles("Add")
def add(importer: Importer, node: ModelNode) -> Value:
    """Import Add: of a constant (a float step) or of two streams (an integer join)."""
    if any(isinstance(importer.values[name], Constant) for name in node.inputs):
        return with_constant(importer, node)
    left, right = importer.tensor(node, 0), importer.tensor(node, 1)
    if left.meaning() is None or right.meaning() is None:
        together = composed(node, left, right)
        if together is not None:
            return together
    if not np.array_equal(left.index, right.index):
        raise UnsupportedError(
            f"{node.label}: joins shapes {left.index.shape} and {right.index.shape}, or orders, that differ; supported "
            "are equal ones, so re-order or pool both sides alike"
        )
    (scale_a, offset_a), (scale_b, offset_b) = (
        _meaning(importer, node, tensor, importer.streams[tensor.stream].channels) for tensor in (left, right)
    )
    scales = np.stack(np.broadcast_arrays(scale_a, scale_b), axis=1)
    grids = []
    for a, b in scales.tolist():
        grid = common_grid((a, b)) if a and b else None
        if grid is None:
            raise UnsupportedError(
                f"{node.label}: scales {a:g} and {b:g} have no common integer grid; give both branches one shared "
                "quantizer or power-of-two scales"
            )
        grids.append(grid)
    factors, unit = np.array([factors for factors, _ in grids]), np.array([unit for _, unit in grids])
    streams = [aligned(importer, tensor.stream, factors[:, i]) for i, tensor in enumerate((left, right))]
    name = importer.emit(node.name, AddJoin(), *streams)
    importer.describe(name, unit)
    offset = offset_a + offset_b
    exact = left.scales_exactly() and right.scales_exactly()
    exact = exact and bool((factors * unit[:, None] == scales).all()) and sums_exactly(unit, importer.streams[name])
    result = Tensor(name, left.index, compact(unit), exact=exact)
    return result.then(constant_step("Add", offset, f"{node.label} offsets")) if offset.any() else result


@handles("Concat")
def concat(importer: Importer, node: ModelNode) -> Value:
    """Import Concat of streams whose maps have equal sizes, or of vectors; each channel keeps its scale."""
    tensors = [importer.tensor(node, position) for position in range(len(node.inputs))]
    axis = axis_of(node.label, int(node.attributes.get("axis", 1)), tensors[0].index.ndim + 1)
    if not axis:
        raise UnsupportedError(f"{node.label}: joins images along the batch axis; join channels (axis 1)")
    return reduce(lambda a, b: _concat(importer, node, a, b, axis - 1), tensors)


def _concat(importer: Importer, node: ModelNode, a: Tensor, b: Tensor, axis: int) -> Tensor:
    streams = [importer.streams[tensor.stream] for tensor in (a, b)]
    # Vectors that are flattened maps of unlike sizes come one after the other, whole.
    whole = a.index.ndim == b.index.ndim == 1 and not meet(*streams)
    counts = [stream.size if whole else stream.channels for stream in streams]
    meanings = [_meaning(importer, node, *pair) for pair in zip((a, b), counts, strict=True)]
    name = importer.emit(node.name, Concat(whole), a.stream, b.stream)
    index = np.concatenate(
        [
            tensor.index // count * sum(counts) + start + tensor.index % count
            for tensor, count, start in zip((a, b), counts, (0, counts[0]), strict=True)
        ],
        axis,
    )
    scale, offset = (
        compact(np.concatenate([np.tile(part, count // part.size) for part, count in zip(parts, counts, strict=True)]))
        for parts in zip(*meanings, strict=True)
    )
    importer.describe(name, scale)
    result = Tensor(name, index, scale, exact=a.scales_exactly() and b.scales_exactly())
    return result.then(constant_step("Add", offset, f"{node.label} offsets")) if offset.any() else result


def _codes(importer: Importer, node: ModelNode) -> list[str]:
    """Return the streams of codes that a join of the muxflow domain reads; raises UnsupportedError where they do not meet."""
    sizes = [importer.tensor(node, position).index.shape[1:] for position in (0, 1)]
    if sizes[0] != sizes[1]:
        raise UnsupportedError(f"{node.label}: maps of {sizes[0]} and {sizes[1]}; height and width must agree")
    return [unsigned_codes(importer, node, position, scale_of(node), whole(node, "bits")) for position in (0, 1)]


def _joined(importer: Importer, node: ModelNode, name: str) -> Tensor:
    return codes_of(importer, node, name, scale_of(node))


@handles("MuxJoin", domains=(MUXFLOW,))
def mux_join(importer: Importer, node: ModelNode) -> Value:
    """Import MuxJoin of the muxflow domain, in its four select modes and with either mix."""
    x, f = _codes(importer, node)
    select = str(attribute(node, "select"))
    name, mix = node.name, node.attributes.get("mix", "mean")  # older files have none
    if select == "always":
        return _joined(importer, node, importer.emit(name, MuxJoin("always", mix=mix), x, f))
    given = importer.constant(node, 2)
    if (given != np.rint(given)).any():
        raise UnsupportedError(f"{node.label}: thresholds that are not integers; export the model with muxflow again")
    meeting = min(importer.streams[x].channels, importer.streams[f].channels)
    if given.shape != (meeting,):
        raise UnsupportedError(f"{node.label}: thresholds of shape {given.shape} for {meeting} channels")
    thresholds = given.astype(np.int64)
    if select == "element":
        return _joined(importer, node, importer.emit(name, MuxJoin("element", thresholds, mix), x, f))
    if select not in ("channel", "channel-mean"):
        raise UnsupportedError(
            f"{node.label}: select {select!r}; supported: 'channel', 'channel-mean', 'element', 'always'"
        )
    bits = importer.emit(f"{name}_select", ChannelSelect("max" if select == "channel" else "sum", thresholds), x)
    return _joined(importer, node, importer.emit(name, MuxJoin("stream", mix=mix), x, f, bits))


@handles("OrJoin", domains=(MUXFLOW,))
def or_join(importer: Importer, node: ModelNode) -> Value:
    """Import OrJoin of the muxflow domain."""
    x, f = _codes(importer, node)
    return _joined(importer, node, importer.emit(node.name, OrJoin(), x, f))


@handles("AutomatonWeights", domains=(MUXFLOW,))
def automaton_weights(importer: Importer, node: ModelNode) -> Value:
    """Import AutomatonWeights of the muxflow domain; its input only keeps it from being folded into a constant."""
    numbers = {name: whole(node, name) for name in ("ring", "rule", "seed", "burn_in")}
    automaton = Automaton(**numbers, alphabet=attribute(node, "alphabet"))
    return Generated(automaton, whole(node, "rows"), whole(node, "columns"), scale_of(node))
