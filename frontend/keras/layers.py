"""What Keras layers become, as far as Keras 2 and Keras 3 share it; needs neither of them.

A handler takes the writer and one call of a layer, and returns the name of the layer's output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.importer.windows import same_pads
from muxflow.frontend.keras.kernel import Array, Kernel
from muxflow.frontend.keras.writer import Writer, to_channel_first, to_channel_last

Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer: names and shapes, batch first, channels last.

    `name`: the layer's, with the path to it where it is inside of a model. `training`: the model calls the layer as in
    training, whatever predict wants. `tensors`: Keras' own tensors of `inputs`, and `inner`: those that a handler
    makes visible by name; both for Keras 3 only.
    """

    layer: Any
    name: str
    inputs: list[str]
    input_shapes: list[Shape]
    output_shape: Shape
    training: bool = False
    tensors: list[Any] = field(default_factory=list)
    inner: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The layer's class; for a function of keras.ops, which is none and may have the same name, with `keras.ops.`."""
        name = type(self.layer).__name__
        return name if hasattr(self.layer, "compute_dtype") else f"keras.ops.{name}"

    @property
    def channels(self) -> int:
        """Channels of the first input."""
        return int(self.input_shapes[0][-1] or 0)

    @property
    def spatial(self) -> int:
        """Spatial axes of the first input: none for vectors."""
        return len(self.input_shapes[0]) - 2


LayerHandler = Callable[[Writer, Call], str]


@dataclass(frozen=True)
class Layers:
    """All that one generation of Keras has to offer, by class name; `advice`: what to do about others that people meet."""

    handlers: Mapping[str, LayerHandler]
    advice: Mapping[str, str]


def write_layer(writer: Writer, call: Call, layers: Layers) -> str:
    """Write one call of a layer; a layer that is not supported becomes a node that says so."""
    kind = call.kind
    writer.layer, writer.kind = call.name, kind
    mark = writer.mark()
    try:
        if kind not in layers.handlers:
            advice = layers.advice.get(kind, "replace it, or move it behind the output onto the host")
            raise UnsupportedError(f"not supported; {advice} (docs/reference/models.md lists what is)")
        if call.training:
            raise UnsupportedError("called with training=True, so predict trains; call it without")
        if call.layer.compute_dtype != "float32":
            raise UnsupportedError(
                f"computes in {call.layer.compute_dtype}; supported is float32, without mixed precision"
            )
        output = layers.handlers[kind](writer, call)
    except Exception as error:  # Keras builds some layers of settings with which they cannot compute
        raise_machine_fault(error, f"{call.name} ({kind})")
        message = (
            str(error) if isinstance(error, UnsupportedError) else f"its settings do not make sense ({reason(error)})"
        )
        output = writer.unsupported(mark, call.inputs, message)
    return output if len(writer.nodes) == mark[0] else writer.end_layer()


def check_channels_last(layer: Any) -> None:
    """Raise UnsupportedError for another order of the axes."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedError("data_format='channels_first'; supported is 'channels_last'")


def sizes(given: Any) -> tuple[int, ...]:
    """Return one number for each axis; one-dimensional layers may say it without a tuple."""
    return tuple(int(size) for size in np.ravel(given))


def window(call: Call, kernel: Sequence[int]) -> dict[str, Any]:
    """Return the ONNX attributes of a layer's window, its padding in numbers: ONNX' own SAME is another one."""
    layer = call.layer
    check_channels_last(layer)
    if layer.padding not in ("same", "valid", "causal"):
        raise UnsupportedError(f"padding={layer.padding!r}; supported are 'same', 'valid' and 'causal'")
    strides, dilations = sizes(layer.strides), sizes(getattr(layer, "dilation_rate", (1,) * len(kernel)))
    found: dict[str, Any] = {"strides": strides, "dilations": dilations}
    if layer.padding == "causal":
        found["pads"] = ((kernel[0] - 1) * dilations[0], 0)
    elif layer.padding == "same":
        given = [size or 0 for size in call.input_shapes[0][1:-1]]
        found["pads"] = same_pads("SAME_UPPER", given, kernel, strides, dilations)
    return found


def _rows_first(kernel: Array) -> Array:
    """Put the rows first: (..., inputs, outputs)   becomes   (outputs, inputs, ...)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def convolved(writer: Writer, call: Call, kernel: Kernel, *bias: str) -> str:
    """Write a convolution in Keras' order of the kernel, (..., C / groups, filters)."""
    weights = writer.weights(kernel.moved(_rows_first))
    groups = call.channels // kernel.shape[-2]
    return writer.node("Conv", call.inputs[0], weights, *bias, group=groups, **window(call, kernel.shape[:-2]))


def convolved_back(writer: Writer, call: Call, kernel: Kernel, *bias: str) -> str:
    """Write a transposed convolution in Keras' order of the kernel, (..., filters, C)."""
    layer = call.layer
    check_channels_last(layer)
    if layer.padding not in ("same", "valid") or any(size is not None for size in np.ravel(layer.output_padding)):
        raise UnsupportedError("output_padding, or padding other than 'same' and 'valid'; leave output_padding out")
    strides, dilations = sizes(layer.strides), sizes(layer.dilation_rate)
    before, after, more = [], [], []
    places = zip(call.input_shapes[0][1:-1], call.output_shape[1:-1], kernel.shape, strides, dilations, strict=False)
    for size, made, k, stride, dilation in places:
        extent = (k - 1) * dilation + 1
        cut = max(extent - stride, 0) if layer.padding == "same" else 0
        before.append(cut // 2)
        rest = ((size or 0) - 1) * stride + extent - before[-1] - (made or 0)
        after.append(max(rest, 0))
        more.append(max(-rest, 0))
    weights = writer.weights(kernel.moved(lambda values: np.moveaxis(values, (-1, -2), (0, 1))), rows=1)
    return writer.node(
        "ConvTranspose",
        call.inputs[0],
        weights,
        *bias,
        strides=strides,
        dilations=dilations,
        pads=(*before, *after),
        output_padding=more,
    )


def convolved_by_channel(writer: Writer, call: Call, kernel: Kernel, *bias: str) -> str:
    """Write a depthwise convolution, kernel (..., C, multiplier)."""
    *spatial, channels, multiplier = kernel.shape

    def by_row(values: Array) -> Array:
        return np.moveaxis(values, (-2, -1), (0, 1)).reshape(channels * multiplier, 1, *spatial)

    weights = writer.weights(kernel.moved(by_row))
    return writer.node("Conv", call.inputs[0], weights, *bias, group=channels, **window(call, spatial))


def separated(writer: Writer, call: Call, first: Kernel, pointwise: Kernel, *bias: str) -> str:
    """Write a depthwise convolution, then a pointwise one, no quantizer between."""
    x = convolved_by_channel(writer, call, first)
    return writer.node("Conv", x, writer.weights(pointwise.moved(_rows_first)), *bias)


def multiplied(writer: Writer, call: Call, kernel: Kernel, *bias: str) -> str:
    """Write a dense layer, kernel (inputs, outputs); on a map it works pixel by pixel, which is a pointwise convolution."""
    if not call.spatial:
        return writer.node("Gemm", call.inputs[0], writer.weights(kernel, rows=1), *bias)
    pointwise = kernel.moved(lambda values: values.T.reshape(*values.T.shape, *(1,) * call.spatial))
    return writer.node("Conv", call.inputs[0], writer.weights(pointwise), *bias)


def by_channel(writer: Writer, call: Call, op_type: str, x: str, value: npt.ArrayLike) -> str:
    """Write `x op value`, one number a channel of the call's input."""
    shape = (1, -1, *(1,) * call.spatial)
    return writer.node(op_type, x, writer.constant(np.asarray(value, np.float32).reshape(shape)))


def check_normalizes_channels(call: Call) -> None:
    """Raise UnsupportedError for a batch norm over other axes."""
    axis = call.layer.axis if isinstance(call.layer.axis, int) else list(call.layer.axis)
    if axis not in (-1, len(call.input_shapes[0]) - 1, [len(call.input_shapes[0]) - 1]):
        raise UnsupportedError(f"axis={axis}; supported is the last axis, the channels")


def normalized(writer: Writer, call: Call, mean: npt.ArrayLike, factor: npt.ArrayLike, beta: npt.ArrayLike) -> str:
    """Write a batch norm in the order `(x - mean) * factor + beta`, each one number a channel."""
    centred = by_channel(writer, call, "Sub", call.inputs[0], mean)
    return by_channel(writer, call, "Add", by_channel(writer, call, "Mul", centred, factor), beta)


def pooled(writer: Writer, call: Call) -> str:
    """Write max and average pools."""
    kind = "MaxPool" if "Max" in call.kind else "AveragePool"
    kernel = sizes(call.layer.pool_size)
    return writer.node(kind, call.inputs[0], kernel_shape=kernel, **window(call, kernel))


def globally_pooled(writer: Writer, call: Call) -> str:
    """Write global max and average pools."""
    check_channels_last(call.layer)
    kind = "GlobalMaxPool" if "Max" in call.kind else "GlobalAveragePool"
    x = writer.node(kind, call.inputs[0])
    return x if call.layer.keepdims else writer.node("Flatten", x)


def padded(writer: Writer, call: Call) -> str:
    """Write ZeroPadding and Cropping of any rank."""
    layer = call.layer
    check_channels_last(layer)
    sides = -np.array(layer.cropping) if "Cropping" in call.kind else np.array(layer.padding)
    return writer.pad(call.inputs[0], sides.reshape(-1, 2).T.reshape(-1).tolist())


def upsampled(writer: Writer, call: Call) -> str:
    """Write UpSampling of any rank to the nearest pixel."""
    check_channels_last(call.layer)
    mode = getattr(call.layer, "interpolation", "nearest")
    if mode != "nearest":
        raise UnsupportedError(f"interpolation={mode!r}; supported is 'nearest'")
    scales = writer.constant(np.array([1, 1, *sizes(call.layer.size)], np.float32))
    way = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return writer.node("Resize", call.inputs[0], "", scales, **way)


FUNCTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "softmax": ("Softmax", {"axis": 1}),
}
"""Keras' own functions: operator and attributes, as Keras 2 has them."""


def plain_activation(
    writer: Writer, x: str, name: str, quantizers: str, functions: Mapping[str, tuple[str, dict[str, Any]]] = FUNCTIONS
) -> str:
    """Write one of Keras' own functions; `quantizers` is the advice about the others."""
    if name == "linear":
        return x
    if name in ("silu", "swish"):
        return writer.node("Mul", x, writer.node("Sigmoid", x))
    if name == "relu6":
        return writer.node("Min", writer.node("Relu", x), writer.constant(np.array([6], np.float32)))
    if name not in functions:
        raise UnsupportedError(
            f"activation {name} is not supported; supported are {', '.join(sorted((*functions, 'linear', 'relu6', 'silu')))}, "
            f"and {quantizers}"
        )
    op_type, attributes = functions[name]
    return writer.node(op_type, x, **attributes)


def _slope(layer: Any, default: float = 0.0) -> float:
    """Return what a layer multiplies negative numbers by: newer versions of Keras call it otherwise."""
    given = getattr(layer, "negative_slope", getattr(layer, "alpha", default))
    return float(np.asarray(default if given is None else given))


def relu(writer: Writer, call: Call) -> str:
    """Write ReLU and LeakyReLU, with or without an upper bound."""
    if getattr(call.layer, "threshold", 0):
        raise UnsupportedError(f"threshold={call.layer.threshold}; supported is 0")
    slope = _slope(call.layer)
    x = writer.node("LeakyRelu", call.inputs[0], alpha=slope) if slope else writer.node("Relu", call.inputs[0])
    highest = getattr(call.layer, "max_value", None)
    return x if highest is None else writer.node("Min", x, writer.constant(np.array([highest], np.float32)))


def elu(writer: Writer, call: Call) -> str:
    """Write ELU."""
    return writer.node("Elu", call.inputs[0], alpha=_slope(call.layer, 1.0))


def prelu(writer: Writer, call: Call) -> str:
    """Write PReLU: a slope for each channel, or each element."""
    slopes = np.asarray(call.layer.alpha, np.float32)
    return writer.node("PRelu", call.inputs[0], writer.constant(np.moveaxis(slopes, -1, 0)[None]))


def softmax(writer: Writer, call: Call) -> str:
    """Write Softmax; the importer leaves it to the host at the end."""
    return writer.node("Softmax", call.inputs[0], axis=1)


def add(writer: Writer, call: Call) -> str:
    """Add of two or more, from left to right."""
    shapes = set(call.input_shapes)
    if len(shapes) > 1:
        raise UnsupportedError(f"joins shapes {', '.join(map(str, sorted(shapes, key=str)))}; they must be equal")
    x = call.inputs[0]
    for other in call.inputs[1:]:
        x = writer.node("Add", x, other)
    return x


def concatenate(writer: Writer, call: Call) -> str:
    """Concatenate along the channels."""
    rank = len(call.output_shape)
    if call.layer.axis % rank != rank - 1:
        raise UnsupportedError(f"axis={call.layer.axis}; supported is the last axis, the channels")
    return writer.node("Concat", *call.inputs, axis=1)


def _channel_last(writer: Writer, call: Call) -> str:
    return writer.transposed(call.inputs[0], to_channel_last(call.spatial + 2)) if call.spatial else call.inputs[0]


def flatten(writer: Writer, call: Call) -> str:
    """Write Flatten, in Keras' channel-last order."""
    check_channels_last(call.layer)
    return writer.node("Flatten", _channel_last(writer, call))


def reshape(writer: Writer, call: Call) -> str:
    """Write Reshape, in Keras' channel-last order."""
    target = call.output_shape[1:]
    shape = writer.constant(np.array([0, *target], np.int64))
    x = writer.node("Reshape", _channel_last(writer, call), shape)
    return writer.transposed(x, to_channel_first(len(target) + 1)) if len(target) > 1 else x


def permute(writer: Writer, call: Call) -> str:
    """Write Permute, of Keras' channel-last axes."""
    order = (0, *call.layer.dims)
    x = writer.transposed(_channel_last(writer, call), order)
    return writer.transposed(x, to_channel_first(len(order))) if call.spatial else x


def rescaled(writer: Writer, call: Call) -> str:
    """Write Rescaling by one factor and one summand."""
    factor, summand = (np.asarray(value, np.float32).reshape(-1) for value in (call.layer.scale, call.layer.offset))
    if max(factor.size, summand.size) > 1:
        raise UnsupportedError("a scale or an offset for each channel; supported is one for all")
    return writer.node("Add", writer.node("Mul", call.inputs[0], writer.constant(factor)), writer.constant(summand))


def identity(writer: Writer, call: Call) -> str:
    """Pass over layers that do nothing at inference."""
    return call.inputs[0]


POOLS = tuple(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))
GLOBAL_POOLS = tuple(f"Global{kind}" for kind in POOLS)
DROPOUTS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "AlphaDropout")
SHARED: Mapping[str, LayerHandler] = {
    **dict.fromkeys((f"{kind}{rank}D" for kind in ("ZeroPadding", "Cropping") for rank in (1, 2, 3)), padded),
    **dict.fromkeys((f"UpSampling{rank}D" for rank in (1, 2, 3)), upsampled),
    **dict.fromkeys(("ReLU", "LeakyReLU"), relu),
    "ELU": elu,
    "PReLU": prelu,
    "Softmax": softmax,
    "Add": add,
    "Concatenate": concatenate,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "Rescaling": rescaled,
    **dict.fromkeys((*DROPOUTS, "Identity", "GaussianNoise", "ActivityRegularization"), identity),
}
"""Layers that are the same in every Keras."""

IN_TORCH = "train a recurrent layer in torch (muxflow.frontend.training.lstm.QuantLstm), which exports as LstmCell"
ADVICE: Mapping[str, str] = {
    **dict.fromkeys("LSTM GRU SimpleRNN RNN Bidirectional QBidirectional QGRU QSimpleRNN".split(), IN_TORCH),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), IN_TORCH),
    "TimeDistributed": "leave it out around dense layers and quantizers, which take each step by itself",
    "Masking": "leave it out: every sequence has the same number of steps",
}
"""What to do about layers of every Keras that people meet and that are not supported."""
