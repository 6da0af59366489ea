"""Train a network again for a bitstream that exists: only what the design loads at run time changes."""

from __future__ import annotations

import brevitas.nn as qnn
from torch import nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d, freeze_bit_shifts
from muxflow.frontend.training.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d
from muxflow.frontend.training.quantizers import BinaryTensorQuant, HEQTensorQuant, freeze_heq

WEIGHTED = (qnn.QuantConv1d, qnn.QuantConv2d, qnn.QuantConv3d, qnn.QuantLinear)


def _fixed_scale(layer: nn.Module) -> bool:
    """Tell whether the values of the weights' codes stay as they are when the weights change."""
    quantizers = [m for m in layer.modules() if isinstance(m, BinaryTensorQuant | HEQTensorQuant)]
    return bool(quantizers) and not any(isinstance(q, BinaryTensorQuant) and q.channel_mean for q in quantizers)


def freeze_bitstream(model: nn.Module) -> tuple[str, ...]:
    """Freeze all that is part of a bitstream, so that training changes weights alone that a design can load.

    Weights of fixed scale (binary ones with a constant, HEQ) stay trainable; the names that their layers have in the graph
    ("stages_0_shortcut") come back, in the order of the network. Batch statistics, the shifts of bit-shift norms, HEQ steps
    and every other parameter are frozen, in training mode too. Call it again after `load_state_dict`, which rebuilds the
    Brevitas quantizers.
    Raises MuxflowError when no layer has weights of fixed scale, or a batch norm is not of `layers`. Source: decision.
    """
    layers = {
        name.replace(".", "_"): layer
        for name, layer in model.named_modules()
        if isinstance(layer, WEIGHTED) and _fixed_scale(layer)
    }
    if not layers:
        raise MuxflowError(
            "no layer has weights of fixed scale, so other weights need other thresholds, which are part of the bitstream; "
            "use binary_weight(1/32) or heq_weight in the layers that are to be loaded"
        )
    for name, layer in model.named_modules():
        if isinstance(layer, BatchNorm1d | BatchNorm2d | BatchNorm3d):
            layer.frozen = True
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm) and not isinstance(layer, BitShiftNorm2d):
            raise MuxflowError(
                f"{name}: {type(layer).__name__} of torch follows its batches; use BatchNorm1d, 2d or 3d of "
                "muxflow.frontend.training.layers"
            )
    freeze_bit_shifts(model)
    freeze_heq(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for layer in layers.values():
        layer.weight.requires_grad_(True)
    return tuple(layers)
