"""Import of joins of two streams, and of generated weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.ops import AddJoin, ChannelSelect, Concat, MuxJoin, OrJoin, Scale
from muxflow.frontend.float_chain import constant_step
from muxflow.frontend.import_elementwise import with_constant
from muxflow.frontend.qonnx_importer import Importer, attribute, common_unit, label
from muxflow.frontend.values import Constant, Doubles, Generated, Tensor, Value, channel_last, is_feature_map

LARGEST_ALIGNMENT = 4096


def _meaning(importer: Importer, node: onnx.NodeProto, tensor: Tensor) -> tuple[Doubles, Doubles]:
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(
            f"{label(node)}: one side passes {names} after its last integer stream, without a quantizer; put an "
            "activation quantizer on both sides of the join"
        )
    return meaning


def _align(
    importer: Importer, node: onnx.NodeProto, tensors: Sequence[Tensor], scales: Sequence[Doubles], channels: Sequence[int]
) -> tuple[list[str], Doubles]:
    """Brings streams onto one grid by integer factors; returns the streams and the unit of each channel.

    `channels`: channels of each stream; for an Add they meet one by one, so all are equal.
    """
    first = np.broadcast_to(scales[0], (channels[0],))
    second = np.broadcast_to(scales[1], (channels[1],))
    if channels[0] != channels[1]:
        first, second = np.unique(first), np.unique(second)
        if first.size > 1 or second.size > 1:
            raise UnsupportedError(f"{label(node)}: the channels of one side differ in scale; quantize it with one scale")
    factors: list[list[int]] = [[], []]
    units = []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        pair = common_unit(a, b) if a > 0 and b > 0 else None
        if pair is None or max(pair) > LARGEST_ALIGNMENT:
            raise UnsupportedError(
                f"{label(node)}: scales {a:g} and {b:g} have no common integer grid; give both branches one shared "
                "quantizer or power-of-two scales"
            )
        factors[0].append(pair[0])
        factors[1].append(pair[1])
        units.append(a / pair[0])
    streams = []
    for side, tensor in enumerate(tensors):
        row = np.array(factors[side])
        row = row[:1] if (row == row[0]).all() else row
        stream = tensor.stream
        if row.size > 1 or row[0] != 1:
            stream = importer.emit(f"{tensor.stream}_aligned", Scale(row), stream)
        streams.append(stream)
    unit = np.array(units)
    return streams, unit[:1] if (unit == unit[0]).all() else unit


def add(importer: Importer, node: onnx.NodeProto) -> Value:
    """Add: of a constant (a float step) or of two streams (an integer join)."""
    if any(isinstance(importer.values[name], Constant) for name in node.input):
        return with_constant(importer, node)
    left, right = importer.tensor(node, 0), importer.tensor(node, 1)
    if not np.array_equal(left.index, right.index):
        raise UnsupportedError(
            f"{label(node)}: joins shapes {left.index.shape} and {right.index.shape}, or orders, that differ; supported "
            "are equal ones"
        )
    meanings = [_meaning(importer, node, tensor) for tensor in (left, right)]
    channels = importer.streams[left.stream].channels
    streams, unit = _align(importer, node, (left, right), [m[0] for m in meanings], (channels, channels))
    name = importer.emit(node.name or node.output[0], AddJoin(), *streams)
    importer.describe(name, unit)
    exact = left.exact and right.exact and not left.steps and not right.steps
    result = Tensor(name, left.index, unit, exact=exact)
    offset = meanings[0][1] + meanings[1][1]
    if offset.any():
        result = result.then(constant_step("Add", offset, f"{label(node)} offsets"))
    return result


def concat(importer: Importer, node: onnx.NodeProto) -> Value:
    """Concat along the channels."""
    if all(isinstance(importer.values[name], Constant) for name in node.input):
        from muxflow.frontend.import_elementwise import importer_fold

        return importer_fold(importer, node)
    tensors = [importer.tensor(node, position) for position in range(len(node.input))]
    for tensor in tensors:
        if not is_feature_map(tensor, importer.streams[tensor.stream]):
            raise UnsupportedError(f"{label(node)}: joins shape {tensor.index.shape}; supported are (C, H, W) maps")
    if int(attribute(node, "axis", 1)) not in (1, -3):
        raise UnsupportedError(f"{label(node)}: axis {attribute(node, 'axis', 1)}; supported is the channel axis, 1")
    result = tensors[0]
    for tensor in tensors[1:]:
        meanings = [_meaning(importer, node, one) for one in (result, tensor)]
        if any(m[1].any() for m in meanings):
            raise UnsupportedError(f"{label(node)}: one side has an offset; put a quantizer before the join")
        channels = [importer.streams[one.stream].channels for one in (result, tensor)]
        streams, unit = _align(importer, node, (result, tensor), [m[0] for m in meanings], channels)
        name = importer.emit(node.name or node.output[0], Concat(), *streams)
        importer.describe(name, unit)
        result = Tensor(name, channel_last(importer.streams[name]), unit, exact=result.exact and tensor.exact)
    return result


def _codes(importer: Importer, node: onnx.NodeProto, position: int) -> str:
    """The stream of unsigned codes behind a MUX or OR input; raises unless its scale is the node's."""
    tensor = importer.tensor(node, position)
    stream = importer.streams[tensor.stream]
    scale = float(attribute(node, "scale", 1.0))
    if tensor.steps or stream.lo < 0 or not is_feature_map(tensor, stream):
        raise UnsupportedError(
            f"{label(node)}: input {position} is not a map of unsigned codes; put an unsigned activation quantizer on it"
        )
    if tensor.scale.size != 1 or abs(float(tensor.scale[0]) / scale - 1) > 1e-6:
        raise UnsupportedError(
            f"{label(node)}: input {position} has scale {tensor.scale[0]:g}, the node {scale:g}; use one shared "
            "activation quantizer on both inputs"
        )
    return tensor.stream


def _joined(importer: Importer, node: onnx.NodeProto, name: str) -> Tensor:
    scale = np.array([float(attribute(node, "scale", 1.0))])
    importer.describe(name, scale)
    importer.tensors[name] = node.output[0]
    return Tensor(name, channel_last(importer.streams[name]), scale)


def mux_shift(importer: Importer, node: onnx.NodeProto) -> Value:
    """MuxShift of the muxflow domain, in its four select modes."""
    x, f = _codes(importer, node, 0), _codes(importer, node, 1)
    select = attribute(node, "select", "channel")
    name = node.name or node.output[0]
    if select == "always":
        return _joined(importer, node, importer.emit(name, MuxJoin("always"), x, f))
    given = importer.constant(node, 2).reshape(-1)
    if (given != np.rint(given)).any():
        raise UnsupportedError(f"{label(node)}: thresholds that are not integers; export the model with muxflow again")
    meeting = min(importer.streams[x].channels, importer.streams[f].channels)
    if given.size != meeting:
        raise UnsupportedError(f"{label(node)}: {given.size} thresholds for {meeting} channels")
    thresholds = given.astype(np.int64)
    if select == "element":
        return _joined(importer, node, importer.emit(name, MuxJoin("element", thresholds), x, f))
    if select not in ("channel", "channel-mean"):
        raise UnsupportedError(
            f"{label(node)}: select {select!r}; supported: 'channel', 'channel-mean', 'element', 'always'"
        )
    bits = importer.emit(f"{name}_select", ChannelSelect("max" if select == "channel" else "sum", thresholds), x)
    return _joined(importer, node, importer.emit(name, MuxJoin("stream"), x, f, bits))


def or_join(importer: Importer, node: onnx.NodeProto) -> Value:
    """OrJoin of the muxflow domain."""
    x, f = _codes(importer, node, 0), _codes(importer, node, 1)
    return _joined(importer, node, importer.emit(node.name or node.output[0], OrJoin(), x, f))


def automaton_weights(importer: Importer, node: onnx.NodeProto) -> Value:
    """CellularAutomatonWeights of the muxflow domain; its input only keeps it from being folded into a constant."""
    automaton = Automaton(
        int(attribute(node, "ring", 0)),
        int(attribute(node, "rule", 30)),
        int(attribute(node, "seed", 0)),
        int(attribute(node, "burn_in", 0)),
        attribute(node, "alphabet", "binary"),
    )
    rows, columns = int(attribute(node, "rows", 0)), int(attribute(node, "columns", 0))
    return Generated(automaton, rows, columns, float(attribute(node, "scale", 1.0)))
