"""FINN's own nodes in a FINN model: each function adds what stands for one node of a design."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import divisors
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.finn import own_nodes
from muxflow.hls.finn.conversion import Conversion
from muxflow.hls.finn.model import has_windows, window_cycles
from muxflow.hls.finn.streams import bits, data_type


def nothing(into: Conversion, node: Node) -> None:
    """Add nothing: stored weights belong to the node that reads them."""


def width_converter(into: Conversion, node: Node) -> None:
    """Add a StreamingDataWidthConverter."""
    (x,), (y,) = (into.graph.ports(node).inputs, into.graph.ports(node).outputs)
    convert_lanes(into, node.name, node.inputs[0], node.outputs[0], (x.lanes, y.lanes), into.depths(node))


def convert_lanes(
    into: Conversion,
    name: str,
    source: str,
    target: str,
    lanes: tuple[int, int],
    depths: tuple[Sequence[int], Sequence[int]] = ((2,), (2,)),
) -> str:
    """Add a width converter between the tensors `source` and `target`; returns `target`."""
    kind, shape = into.kind(source), list(into.builder.shapes[source])
    attributes = {
        "inShape": shape,
        "outShape": shape,
        "inWidth": lanes[0] * bits(kind),
        "outWidth": lanes[1] * bits(kind),
        "dataType": kind,
    }
    into.builder.add("StreamingDataWidthConverter", name, [source], [target], attributes, depths)
    return target


def sliding_window(into: Conversion, node: Node) -> None:
    """Add FMPadding --> ConvolutionInputGenerator, with parallel windows where the design sends whole ones."""
    op = node.op
    assert isinstance(op, SlidingWindow)
    (x,), (y,) = (into.graph.ports(node).inputs, into.graph.ports(node).outputs)
    positions = y.lanes // x.lanes
    # FINN pads with zeros, and a stream of signs has none; it sends one kernel position at once, or all.
    if op.groups > 1 or (any(op.pads) and (op.pad_code or x.bipolar)) or 1 < positions < prod(op.kernel):
        own_nodes.other(into, node)
        return
    source, kind = node.inputs[0], into.kind(node.inputs[0])
    top, left, bottom, right = op.pads
    height, width, channels = x.shape
    padded = [height + top + bottom, width + left + right]
    window = {
        "ConvKernelDim": list(op.kernel),
        "IFMChannels": channels,
        "IFMDim": padded,
        "OFMDim": list(y.shape[:2]),
        "SIMD": x.lanes,
        "parallel_window": int(positions > 1),
        "Stride": list(op.stride),
        "Dilation": list(op.dilation),
        "inputDataType": kind,
        "outputDataType": kind,
        "is1D": int(1 in padded),
    }
    if not has_windows(window):
        own_nodes.other(into, node)
        return
    depths = into.depths(node)
    if any(op.pads):
        padding = {
            "ImgDim": [height, width],
            "Padding": list(op.pads),
            "NumChannels": channels,
            "SIMD": x.lanes,
            "inputDataType": kind,
        }
        target = f"{node.name}_padded"
        into.builder.add("FMPadding", f"{node.name}_padding", [source], [target], padding, (depths[0], [2]))
        source, depths = target, ([2], depths[1])
    into.builder.add("ConvolutionInputGenerator", node.name, [source], node.outputs, window, depths)


def matrix_vector(into: Conversion, node: Node) -> None:
    """Add FINN's MVAU with stored or streamed weights, or Muxflow's convolution."""
    if into.is_ours(node):
        own_nodes.grouped_convolution(into, node)
        return
    x, weights = into.graph.ports(node).inputs
    fold = into.design.folds[node.name]
    source = into.producers[node.inputs[1]]
    matrix = {
        "PE": fold.pe,
        "SIMD": fold.simd,
        "MW": weights.shape[1],
        "MH": weights.shape[0],
        "numInputVectors": [1, *into.graph.ports(node).outputs[0].shape[:-1]],
        "weightDataType": data_type(weights),
        "outputDataType": _accumulator(into, node),
    }
    streamed = not isinstance(source.op, RomWeights)
    if streamed and into.beyond_finn(node):
        types = {"inputDataTypes": [into.kind(node.inputs[0])], "NumChannels": [x.channels]}
        into.emit("StreamedMVAU", node, {**matrix, **types})
        return
    attributes = {
        **matrix,
        "inputDataType": into.kind(node.inputs[0]),
        "accDataType": matrix["outputDataType"],
        "noActivation": 1,
        "mem_mode": "external" if streamed else "internal_decoupled",
    }
    inputs = list(node.inputs)
    if not streamed:
        assert isinstance(source.op, RomWeights)
        inputs[1] = into.builder.constant(f"{node.name}_W", source.op.weights.T, data_type(weights))
    into.emit("MVAU", node, attributes, inputs)


def _accumulator(into: Conversion, node: Node) -> str:
    """Name the type of a product's sums; at the end of the network in whole bytes, as FINN's DMA moves them."""
    y = into.graph.ports(node).outputs[0]
    if node.outputs[0] in into.counts:
        return data_type(Stream((1,), 0, into.counts[node.outputs[0]]))
    if node.outputs[0] not in into.graph.outputs:
        return data_type(y)
    return f"{'INT' if y.signed else 'UINT'}{-(-y.bits // 8) * 8}"


def threshold(into: Conversion, node: Node) -> None:
    """Add Thresholding, where no channel falls."""
    op = node.op
    assert isinstance(op, Threshold)
    (x,), (y,) = (into.graph.ports(node).inputs, into.graph.ports(node).outputs)
    if not into.rises(node):
        own_nodes.other(into, node)
        return
    # Beyond the input's interval a threshold says no more than just outside of it; FINN wants none below 0 where
    # the input has no sign.
    table = op.thresholds[:, ::2] if y.bipolar else op.thresholds
    lo, hi = x.lo, x.hi
    if node.inputs[0] in into.counts:
        # x = 2 * count - columns, so x >= t where count >= (t + columns) / 2.
        columns = into.counts[node.inputs[0]]
        table, lo, hi = -((-table - columns) // 2), 0, columns
    table = np.clip(table, lo, hi + 1)
    attributes = {
        "PE": into.design.folds[node.name].pe,
        "NumChannels": x.channels,
        "numSteps": table.shape[1],
        "inputDataType": into.kind(node.inputs[0]),
        "weightDataType": data_type(Stream((1,), min(lo, int(table.min())), max(hi, int(table.max())))),
        "outputDataType": data_type(y),
        "numInputVectors": [1, *x.shape[:-1]],
        "ActVal": 0 if y.bipolar else op.base,
    }
    thresholds = into.builder.constant(f"{node.name}_T", table, str(attributes["weightDataType"]))
    into.emit("Thresholding", node, attributes, [node.inputs[0], thresholds])


def fork(into: Conversion, node: Node) -> None:
    """Add a DuplicateStreams."""
    (x,) = into.graph.ports(node).inputs
    attributes = {
        "NumChannels": x.channels,
        "PE": into.design.folds[node.name].pe,
        "NumOutputStreams": len(node.outputs),
        "inputDataType": into.kind(node.inputs[0]),
        "numInputVectors": [1, *x.shape[:-1]],
    }
    into.emit("DuplicateStreams", node, attributes)


def add_join(into: Conversion, node: Node) -> None:
    """Add an ElementwiseAdd; one of this project where two vectors have other axes of size 1, which NumPy would stretch."""
    a, b = into.graph.ports(node).inputs
    if a.shape != b.shape:
        own_nodes.other(into, node)
        return
    shape = [1, *a.shape]
    attributes = {
        "lhs_dtype": into.kind(node.inputs[0]),
        "rhs_dtype": into.kind(node.inputs[1]),
        "out_dtype": data_type(into.graph.ports(node).outputs[0]),
        "lhs_shape": shape,
        "rhs_shape": shape,
        "out_shape": shape,
        "PE": into.design.folds[node.name].pe,
    }
    into.emit("ElementwiseAdd", node, attributes)


def pool(into: Conversion, node: Node) -> None:
    """Add GlobalAccPool for the sum of a whole map; else ConvolutionInputGenerator --> Pool."""
    op = node.op
    assert isinstance(op, Pool)
    (x,), (y,) = (into.graph.ports(node).inputs, into.graph.ports(node).outputs)
    kind, pe = into.kind(node.inputs[0]), into.design.folds[node.name].pe
    if op.mode == "sum" and op.kernel == x.shape[:2]:
        shared = {"NumChannels": x.channels, "PE": pe, "inputDataType": kind, "numInputVectors": [1, *x.shape[:2]]}
        into.emit("GlobalAccPool", node, shared)
        return
    window, depths = f"{node.name}_window", into.depths(node)
    shared = {
        "ConvKernelDim": list(op.kernel),
        "IFMChannels": x.channels,
        "IFMDim": list(x.shape[:2]),
        "OFMDim": list(y.shape[:2]),
        "Stride": list(op.kernel),
        "Dilation": [1, 1],
        "inputDataType": kind,
        "outputDataType": kind,
        "depthwise": 1,
        "is1D": int(1 in x.shape[:2]),
    }
    # FINN's window replays what Muxflow's passes on once, so it may need more lanes for the same rate.
    lanes = [count for count in divisors(x.channels) if count >= pe]
    slow = [count for count in lanes if window_cycles({**shared, "SIMD": count}) > into.design.interval]
    wide = lanes[min(len(slow), len(lanes) - 1)]
    if not has_windows({**shared, "SIMD": wide}):
        own_nodes.other(into, node)
        return
    source, target = node.inputs[0], node.outputs[0]
    if wide != pe:
        source = convert_lanes(into, f"{node.name}_widen", source, f"{node.name}_wide", (pe, wide))
        target = f"{node.name}_pooled"
    attributes = {**shared, "SIMD": wide}
    into.builder.add("ConvolutionInputGenerator", window, [source], [window], attributes, (depths[0], [2]))
    attributes = {
        "Channels": x.channels,
        "PE": wide,
        "KernelSize": list(op.kernel),
        "Function": "MaxPool" if op.mode == "max" else "AccPool",
        "OutImgDims": list(y.shape[:2]),
        "InputDataType": kind,
        "OutputDataType": kind if op.mode == "max" else data_type(y),
        "AccumBits": y.bits,
    }
    into.builder.add("Pool", node.name, [window], [target], attributes, ([2], depths[1]))
    if wide != pe:
        convert_lanes(into, f"{node.name}_narrow", target, node.outputs[0], (wide, pe))
