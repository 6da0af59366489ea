"""QONNX custom operators in the domain "muxflow": generated weights, gated residual joins, thermometer encoding.

Importing this module registers them, so that QONNX can infer shapes and execute exported files. Tensors are NCHW
float32 and carry `value = scale * code` with unsigned k-bit codes.

| operator | inputs -> output | attributes |
|---|---|---|
| AutomatonWeights | x -> W (rows, columns, 1, 1) | rule, ring, seed, burn_in, rows, columns, alphabet, scale |
| MuxJoin | x, f, thresholds -> y, shape of f | select, mix (strings), scale (float), bits (int) |
| OrJoin | x, f -> y, shape of f | scale (float), bits (int) |
| ThermometerEncode | x (N, C, H, W) -> y (N, codes * C, H, W) | codes (int), bits (int), input_scale, scale (floats) |
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
from qonnx.core.datatype import DataType
from qonnx.custom_op.base import CustomOp
from qonnx.custom_op.registry import add_op_to_domain

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.ops import thermometer_encode as encoder
from muxflow.dataflow.ops.mux_join import Mix

DOMAIN = "muxflow"
DOMAIN_VERSION = 1

Select = Literal["channel", "channel-mean", "element", "always"]
SELECTS: tuple[str, ...] = get_args(Select)
MIXES: tuple[str, ...] = get_args(Mix)

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def check_select(select: str) -> None:
    """Raise UnsupportedError, naming the select modes, when `select` is none of them."""
    if select not in SELECTS:
        raise UnsupportedError(f"MuxJoin: select {select!r}; supported: {', '.join(SELECTS)}")


def check_mix(mix: str) -> None:
    """Raise UnsupportedError, naming the mixes, when `mix` is none of them."""
    if mix not in MIXES:
        raise UnsupportedError(f"MuxJoin: mix {mix!r}; supported: {', '.join(MIXES)}")


def check_join_shapes(name: str, x: tuple[int, ...], f: tuple[int, ...]) -> None:
    """Raise MuxflowError unless both shapes are maps, (N, C, H, W) or (N, C, T, H, W), that agree in all but the channels."""
    if len(x) not in (4, 5) or len(f) != len(x) or x[0] != f[0] or x[2:] != f[2:]:
        raise MuxflowError(
            f"{name}: inputs of shape {x} and {f}; both must be (N, C, H, W) with equal N, H and W, or (N, C, T, H, W), "
            "so keep the stride at 1 inside a residual body and pool between blocks"
        )


def select_bits(x: Codes, thresholds: Codes, select: str) -> npt.NDArray[np.bool_]:
    """Compute the binary select S of a MuxJoin node, broadcastable against `x`.

    `x`: codes (N, c, H, W) or (N, c, T, H, W); `thresholds`: c integers (unused for "always").
    channel: max over the map of x_c >= t_c; channel-mean: sum over the map of x_c >= t_c; element: x >= t_c; always: 1.
    Raises UnsupportedError on another mode. Source: MOGNET's one bit per channel; the four modes are decisions.
    """
    check_select(select)
    if select == "always":
        return np.ones((1,) * x.ndim, bool)
    limit, axes = thresholds.reshape(1, -1, *(1,) * (x.ndim - 2)), tuple(range(2, x.ndim))
    if select == "element":
        return x >= limit
    pooled = x.max(axis=axes, keepdims=True) if select == "channel" else x.sum(axis=axes, keepdims=True)
    above: npt.NDArray[np.bool_] = pooled >= limit
    return above


def mux_join(x: Codes, f: Codes, thresholds: Codes, select: str, mix: str = "mean") -> Codes:
    """Compute `y = S ? (x + f) >> 1 : f`, or with `mix` "or" `S ? x | f : f`, on integer codes, shape of `f`.

    `x`, `f`: codes (N, C, H, W) or (N, C, T, H, W), equal but for C; `thresholds`: min(C_x, C_f) integers. Channels beyond
    the smaller count pass `f`. Raises MuxflowError on shapes that do not fit.
    Source: MOGNET, MUX residual; BILLNET (arXiv 2501.14495), "or"; operands are decisions.
    """
    check_mix(mix)
    check_join_shapes("MuxJoin", x.shape, f.shape)
    common = min(x.shape[1], f.shape[1])
    if select != "always" and thresholds.shape != (common,):
        raise MuxflowError(f"MuxJoin: thresholds of shape {thresholds.shape}; one per residual channel: ({common},)")
    x, met, y = x[:, :common], f[:, :common], f.copy()
    mixed = (x + met) >> 1 if mix == "mean" else x | met
    y[:, :common] = np.where(select_bits(x, thresholds, select), mixed, met)
    return y


def or_join(x: Codes, f: Codes) -> Codes:
    """Compute the bitwise OR of integer codes, shape of `f`; channels beyond the smaller count pass `f`.

    Raises MuxflowError on shapes that do not fit. Source: HEQ (arXiv 2501.04517), OR residual; k-bit form a decision.
    """
    check_join_shapes("OrJoin", x.shape, f.shape)
    common = min(x.shape[1], f.shape[1])
    y = f.copy()
    y[:, :common] |= x[:, :common]
    return y


def to_codes(name: str, values: Floats, scale: float, bits: int) -> Codes:
    """Return the integer codes of `values = scale * code`; raises MuxflowError when they are not unsigned `bits`-bit codes."""
    ratio = values.astype(np.float64) / scale
    codes = np.rint(ratio)
    if codes.size and (np.abs(ratio - codes).max() > 1e-3 or codes.min() < 0 or codes.max() >= 2**bits):
        raise MuxflowError(
            f"{name}: an input is not made of unsigned {bits}-bit codes times {scale:g}; "
            "quantize both inputs with the same unsigned activation quantizer"
        )
    return codes.astype(np.int64)


class MuxflowOp(CustomOp):  # type: ignore[misc]
    """What all operators here share: single-output, and a datatype that follows a scale of one."""

    def scaled_datatype(self, integer: str) -> Any:
        """Return `integer` as a QONNX datatype when the scale is one, FLOAT32 otherwise (as QONNX does for Quant)."""
        return DataType[integer if self.get_nodeattr("scale") == 1.0 else "FLOAT32"]

    def expect_inputs(self, count: int) -> None:
        """Raise MuxflowError unless the node has `count` inputs."""
        if len(self.onnx_node.input) != count:
            raise MuxflowError(
                f"node {self.onnx_node.name or '?'} ({self.onnx_node.op_type}): "
                f"{len(self.onnx_node.input)} inputs; {count} are needed"
            )


class AutomatonWeights(MuxflowOp):
    """Weights that a cellular automaton generates: `W = scale * Automaton(...).weights(rows, columns)`.

    Input x is the activation tensor that feeds the convolution: its values are not read, but it makes the node depend
    on the data, so that constant folding cannot turn the generated weights into stored ones.
    Output W: (rows, columns, 1, 1) float32, rows = output channels, columns = input channels.
    Source: MOGNET (arXiv 2501.09531), on-line generated weights.
    """

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        return {
            "rule": ("i", True, 30),
            "ring": ("i", True, 0),
            "seed": ("i", True, 0),
            "burn_in": ("i", True, 0),
            "rows": ("i", True, 0),
            "columns": ("i", True, 0),
            "alphabet": ("s", True, "binary", {"binary", "ternary"}),
            "scale": ("f", True, 1.0),
        }

    def automaton(self) -> Automaton:
        """Make the automaton that the attributes describe; raises MuxflowError when they are out of range."""
        return Automaton(**{name: self.get_nodeattr(name) for name in ("ring", "rule", "seed", "burn_in", "alphabet")})

    def make_shape_compatible_op(self, model: Any) -> onnx.NodeProto:
        """Return a standard node of the output's shape."""
        return self.make_const_shape_op([self.get_nodeattr("rows"), self.get_nodeattr("columns"), 1, 1])

    def infer_node_datatype(self, model: Any) -> None:
        """Set BIPOLAR or TERNARY at scale one, FLOAT32 otherwise."""
        integer = "BIPOLAR" if self.get_nodeattr("alphabet") == "binary" else "TERNARY"
        model.set_tensor_datatype(self.onnx_node.output[0], self.scaled_datatype(integer))

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Write the generated weights."""
        weights = self.automaton().weights(self.get_nodeattr("rows"), self.get_nodeattr("columns"))
        scaled = np.float32(self.get_nodeattr("scale")) * weights.astype(np.float32)
        context[self.onnx_node.output[0]] = scaled[:, :, None, None]

    def verify_node(self) -> None:
        """Raise MuxflowError on wrong inputs or attributes."""
        self.expect_inputs(1)
        self.automaton()


class CodesOp(MuxflowOp):
    """An operator whose output is unsigned codes of attributes `bits` and `scale`."""

    def infer_node_datatype(self, model: Any) -> None:
        """Set UINT<bits> at scale one, FLOAT32 otherwise."""
        bits = self.get_nodeattr("bits")
        integer = "BINARY" if bits == 1 else f"UINT{bits}"
        model.set_tensor_datatype(self.onnx_node.output[0], self.scaled_datatype(integer))

    def write_codes(self, context: dict[str, Any], codes: Codes) -> None:
        """Write `scale * codes`."""
        context[self.onnx_node.output[0]] = codes.astype(np.float32) * np.float32(self.get_nodeattr("scale"))


class JoinOp(CodesOp):
    """A residual join of codes x and f; the output has the shape of f."""

    def make_shape_compatible_op(self, model: Any) -> onnx.NodeProto:
        """Return a standard node of the output's shape."""
        return onnx.helper.make_node("Identity", [self.onnx_node.input[1]], [self.onnx_node.output[0]])

    def input_codes(self, context: dict[str, Any]) -> tuple[Codes, Codes]:
        """Return the codes of x and f; raises MuxflowError when they are not codes."""
        name, scale, bits = self.onnx_node.name, self.get_nodeattr("scale"), self.get_nodeattr("bits")
        x, f = (to_codes(name, context[tensor], scale, bits) for tensor in self.onnx_node.input[:2])
        return x, f


class MuxJoin(JoinOp):
    """MUX residual join, see `mux_join`.

    Inputs x, f: (N, C, H, W) or (N, C, T, H, W); thresholds: 1-D initializer of min(C_x, C_f) integers as float32, absent
    for "always". Source: MOGNET (arXiv 2501.09531), MUX residual block.
    """

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        return {
            "select": ("s", True, "channel", set(SELECTS)),
            "mix": ("s", False, "mean", set(MIXES)),
            "scale": ("f", True, 1.0),
            "bits": ("i", True, 1),
        }

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Join the codes of x and f."""
        select = self.get_nodeattr("select")
        thresholds = np.empty(0, np.int64)
        if select != "always":
            given = context[self.onnx_node.input[2]]
            thresholds = given.astype(np.int64)
            if not np.array_equal(thresholds, given):
                raise MuxflowError(f"node {self.onnx_node.name}: thresholds are not integers; export writes ceil(t)")
        self.write_codes(context, mux_join(*self.input_codes(context), thresholds, select, self.get_nodeattr("mix")))

    def verify_node(self) -> None:
        """Raise MuxflowError on wrong inputs."""
        self.expect_inputs(2 if self.get_nodeattr("select") == "always" else 3)


class OrJoin(JoinOp):
    """OR residual join, see `or_join`. Inputs x, f: (N, C, H, W). Source: HEQ (arXiv 2501.04517), OR residual."""

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        return {"scale": ("f", True, 1.0), "bits": ("i", True, 1)}

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Join the codes of x and f."""
        self.write_codes(context, or_join(*self.input_codes(context)))

    def verify_node(self) -> None:
        """Raise MuxflowError on wrong inputs."""
        self.expect_inputs(2)


class ThermometerEncode(CodesOp):
    """Thermometer encoding of 8-bit pixels, see `dataflow.ops.thermometer_encode`; channel c * codes + i holds code i.

    Input (N, C, H, W): pixels times `input_scale`. Output (N, codes * C, H, W): codes times `scale`.
    Source: ERN (arXiv 2410.11553).
    """

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        return {
            "codes": ("i", True, 10),
            "bits": ("i", True, 2),
            "input_scale": ("f", True, 1.0),
            "scale": ("f", True, 1.0),
        }

    def make_shape_compatible_op(self, model: Any) -> onnx.NodeProto:
        """Return a standard node of the output's shape."""
        batch, channels, *spatial = model.get_tensor_shape(self.onnx_node.input[0])
        return self.make_const_shape_op([batch, self.get_nodeattr("codes") * channels, *spatial])

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Encode the pixels."""
        name = self.onnx_node.name
        pixels = to_codes(name, context[self.onnx_node.input[0]], self.get_nodeattr("input_scale"), 8)
        op = encoder.ThermometerEncode(self.get_nodeattr("codes"), self.get_nodeattr("bits"))
        codes = np.moveaxis(op.encoded(pixels), -1, 2)  # (N, C, codes, H, W)
        self.write_codes(context, codes.reshape(len(codes), -1, *codes.shape[3:]))

    def verify_node(self) -> None:
        """Raise MuxflowError on wrong inputs."""
        self.expect_inputs(1)


for _op in (AutomatonWeights, MuxJoin, OrJoin, ThermometerEncode):
    add_op_to_domain(DOMAIN, _op)
