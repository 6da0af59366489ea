"""What stands in the padding around a map, and the node that adds it where no window does."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.resize import Resize
from muxflow.frontend.importer.float_chain import Evaluator, Floats
from muxflow.frontend.importer.grids import LARGEST_CODE
from muxflow.frontend.importer.layout import SUPPORTED_MAPS, feature_axes, map_index
from muxflow.frontend.importer.values import Doubles, Padded, Tensor, grown


def code_of(label: str, tensor: Tensor, value: Floats, opset: int) -> int:
    """Find the code of a tensor's stream that stands for a value, by the model's own float arithmetic.

    `value`: one number, or one for each channel. Raises UnsupportedError naming the node `label` where there is no such code.
    """
    meaning, rows, wanted = tensor.meaning(), tensor.rows, value.reshape(-1)
    likely = 0.0
    if meaning is not None and meaning[0].all():
        likely = float(np.rint((wanted[0] - meaning[1]) / meaning[0]).flat[0])
    if abs(likely) < LARGEST_CODE and rows <= max(wanted.size, tensor.index.shape[0]):
        codes = likely * np.tile(tensor.scale, rows // tensor.scale.size)
        met = Evaluator(tensor.steps, rows, opset)(codes[None].astype(np.float32))
        if (met[0] == wanted).all():
            return int(likely)
    raise UnsupportedError(
        f"{label}: pads with {', '.join(f'{one:g}' for one in np.unique(wanted)[:4])}, which is no code of every channel of "
        "its input; quantize the input first, or pad with a value that the quantizer has"
    )


class Builder(Protocol):
    """What builds a graph: see `walk.Importer`."""

    opset: int
    streams: dict[str, Stream]
    tensors: dict[str, str]

    def emit(self, name: str, op: Op, *inputs: str) -> str:
        """Add a node; returns its output stream."""
        ...

    def describe(self, name: str, scale: Doubles, offset: float = 0.0) -> None:
        """Note the affine meaning of a stream."""
        ...


def with_padding(builder: Builder, padded: Padded, inner: Tensor) -> Tensor:
    """Add padding around a map by a node of its own, for readers without a window that does it.

    Raises UnsupportedError naming the model's node where what it pads is no map of codes.
    """
    node, source = padded.node, builder.streams[inner.stream]
    axes = feature_axes(node.label, inner, source, f"{SUPPORTED_MAPS} maps")
    sizes = grown(axes.sizes, padded.pads)
    axes.check(node.label, sizes, padded.pads)
    if inner.rows > source.channels:
        raise UnsupportedError(f"{node.label}: its input is scaled pixel by pixel; put a quantizer before it")
    code = code_of(node.label, inner, padded.fill, builder.opset)
    op = Resize((1,) * len(axes.places), axes.in_stream(padded.pads, 0), "insert", code)
    name = builder.emit(node.name, op, inner.stream)
    builder.describe(name, inner.scale)
    if not inner.steps:
        builder.tensors[name] = node.outputs[0]
    return replace(inner, stream=name, index=map_index(builder.streams[name], sizes))
