"""Tensors of several quantizers in one sum or concatenation: which ones they are, and what to write instead."""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch
from brevitas.quant_tensor import QuantTensor
from torch import nn

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault

COMPARED = ("check_scaling_factors_same", "check_zero_points_same", "check_bit_width_same", "check_sign_same")
"""Functions in which Brevitas compares two tensors and refuses what differs."""


def check_shared_quantizers(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Run a model in evaluation mode once; raises UnsupportedError where it adds or concatenates tensors whose quantizers differ.

    Brevitas refuses them too, without a word about where they come from. Raises MuxflowError for any other error of the
    model, which most often takes inputs of another shape.
    """
    made: list[tuple[str, Any]] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, _given: Any, output: Any) -> None:
        if isinstance(output, QuantTensor):
            made.append((names[module], output))

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad():
            model(*inputs)
    except Exception as error:
        raise_machine_fault(error, "export")
        frame = _comparing(error)
        if frame is not None:
            operands = [frame.f_locals.get(name) for name in ("self", "other")]
            raise UnsupportedError(_told(str(error), [_maker(made, operand) for operand in operands])) from error
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise MuxflowError(
            f"export: the model does not run on an input of shape {shapes} ({reason(error)}); {_advice(model)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _advice(model: nn.Module) -> str:
    """Say what to do about a model that does not run: its type and its device are other causes than the shape."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            return f"{name} is of type {tensor.dtype}, and models are exported in torch.float32: model.float()"
        if tensor.device.type != "cpu":
            return f"{name} is on device {tensor.device}, and models are exported on the CPU: model.cpu()"
    return "give the shape of the images that it was trained with, batch axis first, then channels: (1, C, H, W)"


def _comparing(error: BaseException) -> FrameType | None:
    """Return the call in which Brevitas compared two tensors; None for an error of another kind."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name in COMPARED:
            return trace.tb_frame
        trace = trace.tb_next
    return None


def _maker(made: list[tuple[str, Any]], operand: Any) -> str:
    """Name the module whose output an operand is, or that gave it its scale; "" where none is known."""
    found = [name for name, output in made if output is operand]
    found = found or [name for name, output in made if output.scale is operand.scale]
    return found[-1] if found else ""


def _told(said: str, makers: list[str]) -> str:
    where = " and ".join(maker or "an operation of the model's own" for maker in makers)
    return (
        f"export: the model adds or concatenates the outputs of {where}, whose quantizers differ ({said}): their codes have no "
        "common step. Give both one shared quantizer: self.shared = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True) "
        'in __init__, and self.shared(a) + self.shared(b) in forward (docs/guide/brevitas.md, "Residuals")'
    )
