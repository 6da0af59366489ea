"""The inputs of a model: what is said of them, and where their channels are, as the first node says that reads a map."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.graph import Entry
from muxflow.dataflow.limits import check_elements
from muxflow.dataflow.op import IntArray
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.importer.constants import REORDERINGS, fold
from muxflow.frontend.importer.float_chain import BINARY, UNARY, constant_step
from muxflow.frontend.importer.layout import MOST_SPATIAL, stream_axes, stream_shape
from muxflow.frontend.importer.reordering import moved
from muxflow.frontend.importer.values import Image, Tensor, Value
from muxflow.frontend.model import (
    CHANNELS_LAST,
    STANDARD,
    Constant,
    Grid,
    ImportOptions,
    Layout,
    Model,
    ModelInput,
    ModelNode,
)

PASSING = (
    UNARY
    | BINARY
    | frozenset(
        "Quant IntQuant BipolarQuant Trunc MultiThreshold QuantizeLinear DequantizeLinear Cast Pad Steps".split()
    )
)
"""Operators that work on elements, whatever the order of the axes."""
ASIDE = frozenset(("Shape", "AutomatonWeights"))
"""Operators that read no elements."""
LAST = frozenset(("Im2Col", "MaxPoolNHWC", "LstmCell", "QuantLSTMCell"))
"""Operators of channel-last maps and sequences in other domains than `CHANNELS_LAST`."""

Sizes = tuple[int, ...]


class Inputs:
    """What a caller and a model say of the model's inputs: integers, order of the axes, mean and standard deviation."""

    def __init__(self, model: Model, options: ImportOptions) -> None:
        self._model, self._options = model, options
        self._orders: dict[str, tuple[Sizes, Sizes]] = {}

    def grid(self, image: Image) -> Grid | None:
        """Return the integers of an input; None where nobody says them."""
        entry = next(entry for entry in self._model.inputs if entry.name == image.name)
        return self._options.grid() or entry.grid

    def order(self, image: Image, known: Mapping[str, Value]) -> tuple[Sizes, Sizes]:
        """Find an input's (shape of its stream, order of the stream's axes in the model's input); the shape () for none.

        `known`: values of the tensors so far.
        """
        if image.name not in self._orders:
            found = stream_of(self._model, known, image.name, image.shape, self._options.input_layout)
            self._orders[image.name] = _usual(image.shape) if found is None else found
        return self._orders[image.name]

    def normalized(self, tensor: Tensor, channels: int) -> Tensor:
        """Return an input after the mean and the standard deviation that the caller gives.

        Raises UnsupportedError where they are as many as neither one nor the channels.
        """
        for op_type, values in (("Sub", self._options.input_mean), ("Div", self._options.input_std)):
            if len(values) not in (0, 1, channels):
                raise UnsupportedError(
                    f"{len(values)} numbers of the input's mean or standard deviation for {channels} channels; give one, or "
                    "one a channel"
                )
            if values:
                tensor = tensor.then(constant_step(op_type, values, f"{op_type} of the input"))
        return tensor

    def entries(self, streams: Mapping[str, str]) -> dict[str, Entry]:
        """Describe, by stream, the inputs that the model holds in another order than the usual one, or normalized.

        `streams`: of the model's inputs, by their names.
        """
        entries = {}
        mean, std = self._options.input_mean, self._options.input_std
        for given in self._model.inputs:
            own = tuple(size or 0 for size in given.shape)
            order = self._orders[given.name]
            if mean or std or order != _usual(own):
                entries[streams[given.name]] = Entry(order[1], own, mean, std, bool(self._model.computed_by))
        return entries


def _usual(shape: Sizes) -> tuple[Sizes, Sizes]:
    """Return the order of a channel-first map, or of a vector."""
    stream = stream_shape(shape) or ()
    return stream, stream_axes(len(stream))


def check_type(what: str, name: str) -> None:
    """Raise UnsupportedError for floats of another precision than float32, in which all is evaluated, and for no numbers."""
    if name != "float32" and not re.fullmatch(r"u?int\d+|bool", name):
        raise UnsupportedError(
            f"{what} holds {name} numbers; supported are float32 ones, in which thresholds and near ties are found: "
            "export the model in float32 (torch: model.float())"
        )


def image_of(entry: ModelInput) -> Image:
    """Return an input before anything has read it; raises UnsupportedError without fixed sizes, or of other numbers."""
    if entry.dtype:
        check_type(f"input {entry.name}", entry.dtype)
    shape = tuple(size or 0 for size in entry.shape)
    if not shape or min(shape) < 1:
        raise UnsupportedError(
            f"input {entry.name} has no fixed shape (N, {', '.join(str(size or '?') for size in shape)}); export the "
            "model with an example input of fixed size"
        )
    count = check_elements(f"input {entry.name}", *shape)
    return Image(entry.name, shape, np.arange(count).reshape(shape))


def stream_of(
    model: Model, known: Mapping[str, Value], name: str, shape: Sizes, layout: Layout | None
) -> tuple[Sizes, Sizes] | None:
    """Find how an input is streamed: (shape of the stream, order of its axes that makes the input of it, elements in line).

    `known`: values of the tensors so far; `shape`: of the input, without the batch; `layout`: where the channels are, None
    asks the model. None where nothing reads the input as a map of axes that only changed their order.
    """
    index = np.arange(int(np.prod(shape))).reshape(shape)
    if layout is not None:
        found = None if len(shape) < 2 else index if layout == "channels-last" else np.moveaxis(index, 0, -1)
    else:
        found = _first_map(model, known, name, index)
    if found is None or not 2 <= found.ndim <= MOST_SPATIAL + 1:
        return None
    for axes in sorted(permutations(range(found.ndim)), key=lambda one: one != stream_axes(found.ndim)):
        sizes = [found.shape[axis] for axis in axes]
        if np.array_equal(found, index.reshape(sizes).transpose(np.argsort(axes))):
            return found.shape, axes
    return None


def _first_map(model: Model, known: Mapping[str, Value], name: str, index: IntArray) -> IntArray | None:
    """Follow an input to the first node that reads it as a map; return its elements there, channels last."""
    views = {name: index}
    for node in model.nodes:
        view = next((views[one] for one in node.inputs if one in views), None)
        if view is None or node.op_type in ASIDE:
            continue
        if node.domain == STANDARD and node.op_type in REORDERINGS:
            try:
                view = moved(node, view, partial(_ahead_of, model, known, views, node))
            except Exception as error:  # the walk says what is wrong with the node when it comes to it
                raise_machine_fault(error, node.label)
                return None
        elif _reads_channels_last(node, view):
            return view
        elif node.op_type not in PASSING:
            if view.ndim > 1:
                return np.moveaxis(view, 0, -1)
            continue  # of a vector the order does not matter
        views.update(dict.fromkeys(node.outputs[:1], view))
    return None


def _reads_channels_last(node: ModelNode, view: IntArray) -> bool:
    if view.ndim < 2:
        return False
    last = node.domain != STANDARD and (node.domain == CHANNELS_LAST or node.op_type in LAST)
    return last or node.op_type == "MatMul" or node.attributes.get("data_layout") == "NHWC"


def _ahead_of(
    model: Model, known: Mapping[str, Value], views: Mapping[str, IntArray], node: ModelNode, position: int
) -> npt.NDArray[Any]:
    """Compute the constant that is a node's input at a position, as `_ahead`."""
    return _ahead(model, known, views, node.inputs[position])


def _ahead(model: Model, known: Mapping[str, Value], views: Mapping[str, IntArray], name: str) -> npt.NDArray[Any]:
    """Compute a constant that the walk may not have come to; raises MuxflowError where it is none."""
    value = known.get(name)
    if isinstance(value, Constant):
        return value.value
    node = next((one for one in model.nodes if name in one.outputs), None)
    if node is None or node.domain != STANDARD or value is not None:
        raise MuxflowError(f"{name} is no constant")
    if node.op_type == "Shape" and node.inputs[0] in views:
        sizes = np.array((1, *views[node.inputs[0]].shape), np.int64)
        return sizes[int(node.attributes.get("start", 0)) : int(node.attributes.get("end", len(sizes)))]
    operands = [Constant(_ahead(model, known, views, one)) for one in node.inputs]
    return fold(node, operands, model.opset).value
