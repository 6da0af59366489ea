"""Each quantizer of a model alone, beside the node that is written for it, on values around all of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from brevitas.nn.quant_rnn import _QuantLSTMLayer
from brevitas.proxy.parameter_quant import BiasQuantProxyFromInjector
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from onnx import helper
from qonnx.custom_op.registry import getCustomOp
from torch import nn

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.text import in_one_line
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.model import QUANTIZED
from muxflow.frontend.recurrent import QUANTIZERS, quantizer_input

Floats = npt.NDArray[np.float32]
SAME_CODES = 2.0**-20
"""What codes times a scale differ by at most where the codes are equal, of the largest one."""
SMALLEST = 1e-6
"""What a tensor is at least taken to hold where differences are relative to its largest element."""
BESIDE = np.array([-(2.0**-5), -(2.0**-10), 2.0**-10, 2.0**-5])
"""How far from a code, and from the middle between two, values lie, in codes (decision): steps that are apart by less are not
told from each other."""
BEYOND = 2
"""Codes below the least and above the largest."""
EVERY = 48
"""Of how many codes each is looked at; of more those at the ends, around zero, and some between."""
FAR = 100.0
"""How far out a value is that must be clipped, in ranges."""
LARGEST = 1e30
"""Stands for any large number that a function before a quantizer may be given."""
MOST = 1 << 20
"""Values that a quantizer is given at most; of more channels some codes are left out."""


def act_quantizers(model: nn.Module) -> Iterable[tuple[str, ActQuantProxyFromInjectorBase]]:
    """Give each proxy that quantizes activations with its name, under every name that it has."""
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            yield name, module


def check_steps(
    model: nn.Module,
    graph: onnx.GraphProto,
    tensors: Mapping[str, Any],
    calls: Mapping[str, Sequence[onnx.NodeProto]],
) -> None:
    """Raise UnsupportedError naming a quantizer of activations that gives other codes than its node in the file does.

    `tensors`: all of a run of the file; `calls`: nodes of each quantizer, and of each recurrent layer of Brevitas, whose
    quantizers are inside, by name. What cannot be run alone, as one that asks for whole maps, is left out.
    """
    for name, proxy in act_quantizers(model):
        for node in calls.get(name, ()):
            if node.op_type in ("Quant", "BipolarQuant"):
                _check(proxy, node, graph, tensors)
    for name, module in model.named_modules():
        for cell in calls.get(name, ()) if isinstance(module, _QuantLSTMLayer) else ():
            for place, inner in enumerate(QUANTIZERS):
                _check(getattr(module.cell, f"{inner}_quant"), _inner(cell, inner, place), graph, tensors)


def _inner(cell: onnx.NodeProto, inner: str, place: int) -> onnx.NodeProto:
    """Write a quantizer inside a recurrent node as a node of its own, which is named after both."""
    said = {entry.name: helper.get_attribute_value(entry) for entry in cell.attribute}
    first = quantizer_input(place)
    return helper.make_node(
        "Quant",
        [f"{cell.name}.{inner}.x", *cell.input[first : first + 3]],
        [f"{cell.name}.{inner}.y"],
        f"{cell.name}.{inner}",
        domain=QUANTIZED[0],
        signed=said[f"{inner}_signed"],
        narrow=said.get(f"{inner}_narrow", said.get(f"{inner}_narrow_range", 0)),
        rounding_mode=said[f"{inner}_rounding_mode"],
    )


def _check(proxy: Any, node: onnx.NodeProto, graph: onnx.GraphProto, tensors: Mapping[str, Any]) -> None:
    """Compare one quantizer with one node."""
    scale = np.asarray(tensors[node.input[1]], np.float32)
    shape = np.shape(tensors.get(node.input[0], np.zeros((1, 1))))
    if scale.ndim > len(shape) or (scale.ndim == len(shape) > 0 and scale.shape[0] > 1):
        return
    try:
        values = np.clip(
            _values(node, scale, shape, tensors), *_reach(proxy.fused_activation_quant_proxy.activation_impl)
        )
        with torch.no_grad():
            found = proxy.fused_activation_quant_proxy.tensor_quant(torch.from_numpy(values))[0].numpy()
    except Exception as error:  # a quantizer of the user's own, which wants what it is given in the model
        raise_machine_fault(error, f"{node.name} ({node.op_type})")
        return
    context = {**{name: tensors[name] for name in node.input[1:]}, node.input[0]: values}
    getCustomOp(node).execute_node(context, graph)
    check_codes(node, proxy, values, found, context)


def _reach(function: nn.Module) -> tuple[np.float32, np.float32]:
    """Return the least and the largest value that the function before a quantizer gives, as 0 and 1 of a sigmoid."""
    with torch.no_grad():
        values = function(torch.cat([torch.linspace(-32, 32, 1025), torch.tensor([-LARGEST, LARGEST])])).numpy()
    return values.min(), values.max()


def check_codes(node: onnx.NodeProto, proxy: Any, given: Floats, found: Floats, tensors: Mapping[str, Any]) -> None:
    """Raise UnsupportedError where a quantizer makes other codes, `found`, of the values `given` than its node does.

    `tensors`: those that the node reads and writes.
    """
    found, written, given = np.broadcast_arrays(found, tensors[node.output[0]], given)
    largest = np.abs(written[np.isfinite(written)]).max(initial=SMALLEST)
    differ = ~((found == written) | (np.isnan(found) & np.isnan(written)))
    differ[differ] = ~(np.abs(found[differ].astype(np.float64) - written[differ]) <= SAME_CODES * largest)
    if not differ.any():
        return
    value, ours, theirs = (float(array[differ][0]) + 0.0 for array in (given, found, written))
    kind = getattr(getattr(proxy, "quant_injector", None), "__name__", type(proxy).__name__)
    if node.op_type == "BipolarQuant":
        advice = "the sign of a value times a scale; use such a quantizer, as those of brevitas.quant.binary are"
    elif node.op_type == "Quant" and _range(node, tensors) == (-1, 0):
        advice = "-1 and +1 for one signed bit, Brevitas -1 and 0; use two bits, or an unsigned or a binary quantizer"
    elif isinstance(proxy, BiasQuantProxyFromInjector) and proxy.requires_input_scale:
        advice = (
            "one scale, and of a layer that is called twice Brevitas writes the last call's; call it on the outputs of "
        )
        advice += "one quantizer, or give its bias a scale of its own (Int8BiasPerTensorFloatInternalScaling)"
    else:
        advice = "scale, zero point, bits, sign, narrow range and rounding; use a quantizer of these settings only, as of no "
        advice += "thresholds of its own (ternary: threshold=0.5)"
    raise UnsupportedError(
        f"export: quantizer {in_one_line(node.name)} ({kind}) gives other codes than the {node.op_type} that is written for it: "
        f"{value:.6g} becomes {ours:.6g} in the model, {theirs:.6g} in the file. {node.op_type} says {advice}"
    )


def _values(node: onnx.NodeProto, scale: Floats, shape: tuple[int, ...], tensors: Mapping[str, Any]) -> Floats:
    """Make values around every step, of one scale or each channel's, along the first axis."""
    lo, hi = _range(node, tensors)
    if hi - lo <= EVERY:
        levels = np.arange(lo - BEYOND, hi + BEYOND + 1)
    else:
        ends = [np.arange(lo - BEYOND, lo + 8), np.arange(-4, 5), np.arange(hi - 8, hi + BEYOND + 1)]
        levels = np.unique(np.concatenate([*ends, np.linspace(lo, hi, 16).round()]))
    offsets = np.concatenate([BESIDE, [-0.25, 0.25], BESIDE + 0.5])
    if (np.frexp(scale)[0] == 0.5).all():  # of another scale, float rounding decides what a tie becomes
        offsets = np.concatenate([offsets, [0.0, 0.5]])
    far = max(abs(lo), abs(hi), 1) * FAR
    codes = np.concatenate([[0.0, -far, far], (levels[:, None] + offsets).reshape(-1)])
    axes = [1] * len(shape[1:])
    for axis, size in enumerate(shape[1:]):
        own = scale.shape[axis + 1 - len(shape)] if len(shape) - axis - 1 <= scale.ndim else 1
        axes[axis] = size if own > 1 or axis == 0 else 1
    every = max(1, -(-codes.size * int(np.prod(axes)) // MOST))
    codes = codes[::every].astype(np.float32)
    spread = np.broadcast_to(codes.reshape(-1, *[1] * len(axes)) * scale, (codes.size, *axes))
    return np.ascontiguousarray(spread, np.float32)


def _range(node: onnx.NodeProto, tensors: Mapping[str, Any]) -> tuple[int, int]:
    """Return the least and the largest code of a node, zero point taken off."""
    if node.op_type == "BipolarQuant":
        return -1, 1
    zero, bits = (np.asarray(tensors[name]) for name in node.input[2:4])
    signed = next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == "signed"), 1)
    levels = 1 << int(bits.max())
    lo = -(levels // 2) if signed else 0
    return lo - int(zero.max()), lo + levels - 1 - int(zero.min())
