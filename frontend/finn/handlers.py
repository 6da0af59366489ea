"""Import of FINN's own operators: what its conversion and streamlining make of a QONNX model.

FINN's tensors are channel-last after a Transpose, its activations are tables of thresholds (MultiThreshold), its
convolutions are Im2Col and MatMul, and of signs times signs it counts the equal ones (XnorPopcountMatMul).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.importer import layers
from muxflow.frontend.importer.channels_last import as_channel_first
from muxflow.frontend.importer.elementwise import spread
from muxflow.frontend.importer.float_chain import Floats, constant_step
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import is_channel_last, natural
from muxflow.frontend.importer.maps import through_padding
from muxflow.frontend.importer.quantizers import Quantizer, activation
from muxflow.frontend.importer.values import Image, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import DESCRIBE, QUANTIZED, STANDARD, Constant, ModelNode


@dataclass(frozen=True, eq=False)
class ThresholdQuantizer(Quantizer):
    """A quantizer with level = step * (number of thresholds <= x) + lowest; `thresholds`: one row for each row of the stream."""

    thresholds: Floats = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    step: float = 1.0
    lowest: float = 0.0

    def levels(self, values: Floats, scale: Floats, zero_point: Floats) -> Floats:
        """Compute what the node gives, in its own float32 comparison."""
        counts = np.empty(values.shape, np.float32)
        for row in range(values.shape[-1]):
            steps = self.thresholds[row % len(self.thresholds)]
            counts[..., row] = np.searchsorted(steps, values[..., row], side="right")
        return np.asarray(self.step * counts + self.lowest, np.float32)

    def interval(self) -> tuple[int, int]:
        """Return the smallest and the largest code."""
        ends = self.lowest, self.lowest + self.step * self.thresholds.shape[1]
        lo, hi = (round(end / float(self.scale[0])) for end in ends)
        return lo, hi


@handles("MultiThreshold", domains=QUANTIZED)
@through_padding
def multi_threshold(importer: Importer, node: ModelNode) -> Value:
    """Import MultiThreshold: an activation, or at the input what makes integers of it."""
    table = importer.constant(node, 1).astype(np.float32)
    if table.ndim != 2 or not table.size:
        raise MuxflowError(f"{node.label}: thresholds of shape {table.shape}; they must be (channels or 1, steps)")
    if (np.diff(table, axis=1) < 0).any():
        raise MuxflowError(f"{node.label}: a row of thresholds descends; FINN writes them ascending")
    step = float(node.attributes.get("out_scale", None) or 1.0)
    lowest = float(node.attributes.get("out_bias", None) or 0.0)
    # Levels of step k and their offset lie on one grid: that of the step, or of its half where the offset is half-way.
    unit = next((part for part in (step, step / 2) if (lowest / part).is_integer()), None)
    if step <= 0 or unit is None:
        raise UnsupportedError(
            f"{node.label}: out_scale {step:g} and out_bias {lowest:g}; supported are a positive scale and a bias that "
            "is a multiple of its half"
        )
    value = importer.values[node.inputs[0]]
    quantizer = ThresholdQuantizer(
        np.array([unit], np.float32), np.zeros(1, np.float32), thresholds=table, step=step, lowest=lowest
    )
    if isinstance(value, Image) and importer.given_grid(value) is None:
        return _open_input(importer, node, value, quantizer)
    tensor = importer.tensor(node, 0)
    ids = spread(importer, tensor, _row_ids(node, len(table), tensor), node.label)
    quantizer = replace(quantizer, thresholds=table[ids], rows=len(ids))
    if table.shape[1] > 1 or lowest or not _counts_signs(importer):
        return activation(importer, node, tensor, quantizer)
    # Bits that are counted as signs: 0 and 1 stand for -1 and +1.
    signs = replace(quantizer, scale=np.ones(1, np.float32), step=2.0, lowest=-1.0)
    codes = activation(importer, node, tensor, signs)
    importer.tensors.pop(codes.stream, None)
    half = np.float32(step / 2)
    return codes.then(constant_step("Mul", half, node.name)).then(constant_step("Add", half, node.name))


def _row_ids(node: ModelNode, rows: int, tensor: Tensor) -> IntArray:
    """Return the row of thresholds of each element, in a shape that broadcasts against the tensor."""
    layout = node.attributes.get("data_layout", "NCHW")
    if layout not in ("NCHW", "NHWC", "NC"):
        raise UnsupportedError(f"{node.label}: data_layout {layout!r}; supported: NCHW, NHWC, NC")
    trailing = tensor.index.ndim - 1 if layout == "NCHW" else 0
    return np.arange(rows).reshape(rows, *(1,) * trailing)


def _counts_signs(importer: Importer) -> bool:
    return any(node.op_type == "XnorPopcountMatMul" for node in importer.model.nodes)


def _open_input(importer: Importer, node: ModelNode, image: Image, quantizer: ThresholdQuantizer) -> Tensor:
    """Open the integer input that a table of thresholds makes of floats: one step of it is the thresholds' distance."""
    table = quantizer.thresholds
    if len(table) > 1:
        raise UnsupportedError(f"{node.label}: the input has one row of thresholds a channel; use one for all")
    steps = table.shape[1]
    distance = (float(table[0, -1]) - float(table[0, 0])) / (steps - 1) if steps > 1 else 1.0
    # The input is distance * code, half a distance from the thresholds on either side; `first` is the lowest code.
    first = round(float(table[0, 0]) / distance - 0.5) if distance > 0 else 0
    counts = np.arange(steps + 1)
    values = ((counts + first) * distance).astype(np.float32)
    if not np.array_equal(np.searchsorted(table[0], values, side="right"), counts):
        raise UnsupportedError(
            f"{node.label}: its thresholds are not evenly spaced about multiples of one step, so the input is no plain "
            f"integer; {DESCRIBE}"
        )
    opened = importer.open_input(image, first, first + steps, np.array([distance]))
    # From here on the tensors hold levels, not the input's values.
    levels = replace(opened, scale=np.array([quantizer.step]))
    shift = quantizer.lowest - quantizer.step * first
    return levels.then(constant_step("Add", shift, f"{node.label} bias")) if shift else levels


@handles("Im2Col", domains=QUANTIZED)
def im2col(importer: Importer, node: ModelNode) -> Value:
    """Import Im2Col: the vectors of a convolution, channel-last."""
    tensor = _channel_last(importer, node)
    kernel = _pair(node, "kernel_size", ())
    if node.attributes.get("depthwise", 0):
        raise UnsupportedError(
            f"{node.label}: lowered for a depthwise convolution; import the file from before FINN lowers convolutions"
        )
    pads = tuple(int(size) for size in node.attributes.get("pad_amount", (0, 0, 0, 0)))
    meaning = tensor.meaning()
    if meaning is None:
        raise UnsupportedError(f"{node.label}: its input has a float function without a quantizer after it")
    scale, offset = meaning
    code = (float(node.attributes.get("pad_value", 0)) - offset) / scale
    if any(pads) and ((code != code[0]).any() or code[0] != np.rint(code[0])):
        raise UnsupportedError(f"{node.label}: its padding is no code of the input; quantize the input first")
    window = SlidingWindow(
        kernel,
        _pair(node, "stride", (1, 1)),
        _pair(node, "dilations", (1, 1)),
        pads,
        pad_code=int(code[0]) if any(pads) else 0,
    )
    stream = importer.emit(node.name, window, tensor.stream)
    return replace(tensor, stream=stream, index=natural(importer.streams[stream]))


@handles("XnorPopcountMatMul", domains=QUANTIZED)
def xnor_popcount(importer: Importer, node: ModelNode) -> Value:
    """Import XnorPopcountMatMul: how many bits of x equal those of the weights, which is x (2 w - 1) + the number of w = 0."""
    bits = importer.constant(node, 1)
    if not np.isin(bits, (0, 1)).all():
        raise MuxflowError(f"{node.label}: weights other than 0 and 1; FINN writes bits")
    signs = f"{node.inputs[1]} as signs"
    values = (2 * bits - 1).astype(np.int64)
    importer.values[signs] = Constant(values.astype(np.float32), values)
    matmul = replace(node, op_type="MatMul", domain=STANDARD, inputs=(node.inputs[0], signs, *node.inputs[2:]))
    result = layers.product(importer, matmul)
    assert isinstance(result, Tensor)
    return result.then(constant_step("Add", (1 - bits).sum(axis=0), f"{node.label} count"))


@handles("MaxPoolNHWC", domains=QUANTIZED)
def max_pool(importer: Importer, node: ModelNode) -> Value:
    """Import MaxPoolNHWC: MaxPool on a channel-last map."""
    _channel_last(importer, node)
    return as_channel_first(importer, node, "MaxPool")


def _channel_last(importer: Importer, node: ModelNode) -> Tensor:
    """Return the first input, which must be a map in the order its stream has."""
    tensor = importer.tensor(node, 0)
    if not is_channel_last(tensor, importer.streams[tensor.stream]):
        raise UnsupportedError(
            f"{node.label}: its input is not a channel-last image in the order its stream has (shape "
            f"{tensor.index.shape}); FINN puts a Transpose before it"
        )
    return tensor


def _pair(node: ModelNode, name: str, default: tuple[int, ...]) -> tuple[int, int]:
    values = [int(value) for value in node.attributes.get(name, default)]
    if len(values) != 2:
        raise UnsupportedError(f"{node.label}: {name} {values}; supported are two spatial axes")
    return values[0], values[1]
