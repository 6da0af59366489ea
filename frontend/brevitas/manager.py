"""Brevitas' own exporter of QONNX, with weights that keep their codes, and errors that name a layer."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from brevitas.core.quant import TernaryQuant
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.text import in_one_line, reason
from muxflow.frontend.brevitas.names import module_path
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training.quantizers import (
    BrevitasActQuantProxyHandler,
    BrevitasDecoupledWeightQuantProxyHandler,
    BrevitasDecoupledWeightQuantWithInputProxyHandler,
    BrevitasQuantOp,
    BrevitasWeightQuantProxyHandler,
    QONNXManager,
    restore_caching,
)

OPSET = 20
FAR = 1000.0
"""How many scales from zero a value is that a quantizer of one bit must clip (decision)."""
INPUT = "muxflow_input_"
"""What inputs are called in what `write` returns, before their place."""


ONE_BIT = (
    "one bit is 0 and 1, or -1 and +1, in QONNX, and -1 and 0, or one code only, here; use qnn.QuantReLU(bit_width=1) for 0 "
    "and 1, SignedBinaryActPerTensorConst or SignedBinaryWeightPerTensorConst of brevitas.quant for -1 and +1, or two bits"
)
"""What is wrong with a quantizer whose one bit is signed, and what to use."""


class _ExactActivations(BrevitasActQuantProxyHandler):  # type: ignore[misc]
    """QONNX export of activations: of one bit, `Quant` for codes of 0 and 1 and `BipolarQuant` for -1 and +1.

    Brevitas' handler writes `BipolarQuant` for every one-bit activation, four codes for a ternary one that is not called
    narrow, and any scale.
    """

    def validate(self, module: Any) -> None:
        """Raise UnsupportedError for scales of groups, and for one that is no positive number."""
        if module.is_groupwise:
            raise UnsupportedError("its scales are those of groups")
        _check_scale(module.scale(), module.bit_width())

    def prepare_for_export(self, module: Any) -> None:
        """Collect the proxy's parameters; raises UnsupportedError where QONNX has no one-bit quantizer of its codes."""
        super().prepare_for_export(module)
        if not module.is_quant_enabled:
            return
        quantizer = module.fused_activation_quant_proxy.tensor_quant
        if isinstance(quantizer, TernaryQuant):  # -1, 0 and +1, whatever else its settings say
            self.symbolic_kwargs |= {"signed": True, "narrow_range": True, "rounding_mode": "ROUND"}
        if self.symbolic_kwargs["bit_width"] != 1:
            return
        scale, zero = (self.symbolic_kwargs[name] for name in ("scale", "zero_point"))
        least, most = ((quantizer(far * scale)[0] / scale + zero).round() for far in (-FAR, FAR))
        if bool((least == 0).all() and (most == 1).all()):
            self.quant_op = BrevitasQuantOp
            self.symbolic_kwargs |= {"signed": False, "narrow_range": False}
        elif not bool((least == -1).all() and (most == 1).all() and (zero == 0).all()):
            raise UnsupportedError(ONE_BIT)


def _check_scale(scale: Tensor, bits: Tensor) -> None:
    """Raise UnsupportedError where a quantizer's scale is no positive number."""
    wrong = scale[~(torch.isfinite(scale) & (scale > 0))].reshape(-1)
    if len(wrong):
        advice = ONE_BIT if int(bits) == 1 else "train on, or give it a scale that is positive"
        raise UnsupportedError(f"a scale of {float(wrong[0]):g}; {advice}")


class _ExactWeights(BrevitasWeightQuantProxyHandler):  # type: ignore[misc]
    """QONNX export of weights: `Quant` reads the float weights where it gives them Brevitas' codes, else the quantized ones.

    Brevitas' handler writes the float weights and ROUND in any case, which are other codes where weights are rounded another
    way (CEIL, FLOOR, learned rounding) or not by their scale alone (accumulator-aware weights, ternary thresholds).
    """

    stored: Mapping[int, Tensor] = {}
    quant_op: Any

    def validate(self, bit_width: Any, zero_point: Any) -> None:
        """Leave it to `_stored`: Brevitas' own refuses one bit with a zero point, which `Quant` can say."""

    def prepare_for_export(self, module: Any) -> None:
        """Choose what is stored of each weight; raises UnsupportedError where `Quant` gives Brevitas' codes of neither."""
        super().prepare_for_export(module)
        if module.is_quant_enabled:
            _check_scale(self.symbolic_kwargs["scale"], self.symbolic_kwargs["bit_width"])
            weights = [tracked.weight for tracked in module.tracked_module_list]
            self.stored = {weight.data_ptr(): self._stored(weight) for weight in weights}

    def _stored(self, weight: Tensor) -> Tensor:
        values = self.quant_weight_values[weight.data_ptr()]
        one_bit = int(self.symbolic_kwargs["bit_width"]) == 1
        signed = bool(self.symbolic_kwargs["signed"])
        for op in (self.quant_op, BrevitasQuantOp) if one_bit and not signed else (self.quant_op,):
            for stored in (weight, values):
                written = op.torchscript.forward(None, stored, *self.symbolic_kwargs.values())
                if bool(((written - values).abs() < self.symbolic_kwargs["scale"] / 2).all()):
                    self.quant_op = op
                    return stored
        if one_bit:
            raise UnsupportedError(ONE_BIT)
        raise UnsupportedError(
            "its quantized weights are no codes times its scale, which is all that QONNX's Quant can say"
        )

    def symbolic_execution(self, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """Emit the quantizer on what is stored of the weights `x`."""
        result: tuple[Tensor, ...] = super().symbolic_execution(self.stored.get(x.data_ptr(), x), *given)
        return result


class _DecoupledWeights(_ExactWeights, BrevitasDecoupledWeightQuantProxyHandler):  # type: ignore[misc]
    """The same of weights with a scale before rounding and another one after it."""

    handled_layer = BrevitasDecoupledWeightQuantProxyHandler.handled_layer


class _AccumulatorAwareWeights(_ExactWeights, BrevitasDecoupledWeightQuantWithInputProxyHandler):  # type: ignore[misc]
    """The same of weights whose scale depends on the bits of the layer's input."""

    handled_layer = BrevitasDecoupledWeightQuantWithInputProxyHandler.handled_layer


OWN_HANDLERS = (_ExactActivations, _ExactWeights, _DecoupledWeights, _AccumulatorAwareWeights)


class _Manager(QONNXManager):  # type: ignore[misc]
    """Brevitas' exporter with the handlers above, whatever others it has been given."""

    @classmethod
    def handler_from_module(cls, module: nn.Module, no_inheritance: bool = False) -> Any:
        """Find the handler of a proxy by its type."""
        own = next((handler for handler in OWN_HANDLERS if type(module) is handler.handled_layer), None)
        return own or super().handler_from_module(module, no_inheritance)


def write(model: nn.Module, inputs: tuple[Tensor, ...], opsets: Mapping[str, int]) -> onnx.ModelProto:
    """Write a model in evaluation mode as Brevitas does, `opsets` beside QONNX' own; it is left in no export mode.

    Raises UnsupportedError naming the layer that torch or Brevitas cannot write, and for a tensor that is two outputs.
    """
    try:
        with _silent():
            proto: onnx.ModelProto = _Manager.export(
                model,
                args=inputs if len(inputs) > 1 else inputs[0],
                dynamo=False,
                opset_version=OPSET,
                custom_opsets=dict(opsets),
                input_names=[f"{INPUT}{place}" for place in range(len(inputs))],
            )
    except Exception as error:  # torch and Brevitas raise whatever they meet
        told = _told(model, error)
        model.apply(restore_caching)
        _Manager.set_export_mode(model, enabled=False)
        raise_machine_fault(error, "export")
        raise UnsupportedError(told) from error
    if len({entry.name for entry in proto.graph.output}) < len(proto.graph.output):
        raise UnsupportedError("export: the model returns one tensor more than once; return each once")
    return proto


def inputs_read(proto: onnx.ModelProto) -> list[int]:
    """List the places of the inputs that are left in what `write` returns: those that the model reads.

    Raises MuxflowError where it reads none.
    """
    names = [entry.name for entry in proto.graph.input]
    places = [int(name.removeprefix(INPUT)) for name in names if name.startswith(INPUT)]
    if not places:
        raise MuxflowError(
            "export: the model's outputs depend on none of its inputs; export one that computes something"
        )
    return places


@contextmanager
def _silent() -> Iterator[None]:
    """Keep torch from writing the whole graph to standard output where it cannot export it."""
    written = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = written


def _told(model: nn.Module, error: Exception) -> str:
    said = str(error) if isinstance(error, MuxflowError) else reason(error)
    quantizer, node = _quantizer_at(model, error), _node_at(error)
    if quantizer:
        layer, proxy = quantizer
        said = said if proxy.export_handler else f"Brevitas writes no {type(proxy).__name__}"
        kind = proxy.quant_injector.__name__
        return (
            f"export: the quantizer {layer} ({kind}) has no form in QONNX ({said}); supported are integer ones of one scale a "
            "tensor or a channel, of brevitas.quant.scaled_int, shifted_scaled_int, fixed_point, binary or ternary"
        )
    where = ""
    if node is not None:
        scopes = [scope.partition("::")[2] for scope in node.scopeName().split("/")]
        module = module_path(filter(None, scopes), {name for name, _ in model.named_modules()})
        where = f" {in_one_line(module or 'forward')} ({node.kind().removeprefix('aten::')})"
    return (
        f"export: torch cannot write{where or ' the model'} as ONNX ({said}); write it in operators of "
        "docs/reference/models.md, with sizes that are constants"
    )


def _frames(error: BaseException) -> Iterator[Mapping[str, Any]]:
    """Give the variables of every call that an error went through, the innermost first."""
    yield from reversed([frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)])


def _quantizer_at(model: nn.Module, error: BaseException) -> tuple[str, Any] | None:
    """Find the quantizer that Brevitas was about to write, and its name; None where it was none."""
    names = {id(module): name for name, module in model.named_modules() if hasattr(module, "quant_injector")}
    for variables in _frames(error):
        for found in (variables.get("self"), variables.get("module")):
            if id(found) in names:
                return names[id(found)], found
    return None


def _node_at(error: BaseException) -> Any:
    """Return the node of torch's graph that its exporter could not write; None for an error of another kind."""
    nodes = (variables.get("node") for variables in _frames(error))
    return next((node for node in nodes if isinstance(node, torch._C.Node)), None)
