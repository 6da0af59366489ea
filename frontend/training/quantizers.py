"""Brevitas quantizers of the ultra-low-bit networks: HEQ and binary weights, unsigned activations, 8-bit pixels.

Each quantizer is a Brevitas injector, used as `weight_quant=` or `act_quant=` of any Brevitas layer, and exports as an
ordinary QONNX `Quant` or `BipolarQuant` node. With power-of-two scales (the default) every weight, every activation
and every partial sum is an exact float32 number, so the trained model, its QONNX file and integer hardware agree.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

import torch
from brevitas.core.utils import StatelessBuffer
from brevitas.function.ops_ste import binary_sign_ste, ceil_ste, floor_ste, round_ste, tensor_clamp_ste
from brevitas.inject import ExtendedInjector
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import is_number
from muxflow.frontend.training.scales import (
    FIXED_BINARY_SCALE,
    PIXEL_SCALE,
    ScaleMode,
    activation_scale,
    check_levels,
    check_numbers,
    half_wave_step,
    heq_bits,
    heq_scale,
)

with warnings.catch_warnings():
    # Brevitas' exporter warns on import about its own deprecated module and about an optional package.
    warnings.filterwarnings("ignore", message="brevitas.fx is deprecated", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="fast_hadamard_transform", category=UserWarning)
    import brevitas.export.manager
    from brevitas.export.onnx.qonnx.function import BrevitasQuantOp as BrevitasQuantOp
    from brevitas.export.onnx.qonnx.function import BrevitasQuantTorchScriptFn
    from brevitas.export.onnx.qonnx.handler import BrevitasActQuantProxyHandler as BrevitasActQuantProxyHandler
    from brevitas.export.onnx.qonnx.handler import (
        BrevitasDecoupledWeightQuantProxyHandler as BrevitasDecoupledWeightQuantProxyHandler,
    )
    from brevitas.export.onnx.qonnx.handler import (
        BrevitasDecoupledWeightQuantWithInputProxyHandler as BrevitasDecoupledWeightQuantWithInputProxyHandler,
    )
    from brevitas.export.onnx.qonnx.handler import BrevitasWeightQuantProxyHandler as BrevitasWeightQuantProxyHandler
    from brevitas.export.onnx.qonnx.manager import QONNXManager as QONNXManager

restore_caching = brevitas.export.manager._restore_act_caching_mode
"""Puts a module's caching back as it was before an export; to be applied to all modules where one fails."""

QuantResult = tuple[Tensor, Tensor, Tensor, Tensor]
MOST_WEIGHTS = 1 << 24
"""Weights of a tensor whose quantiles PyTorch finds, at most."""


def heq_step(w: Tensor, n: int) -> Tensor:
    """Find the HEQ step s whose thresholds fit the n-quantiles of `w`, so that the n levels are equally populated.

    `w`: any shape, finite floats; `n`: odd, 3 or more. Returns a positive 0-d tensor,
    `s = sum(c_i q_i) / sum(c_i^2)` with `c_i = i - (n-2)/2` and `q_i = quantile(w, (i+1)/n)`, i = 0..n-2.
    On a unit Gaussian: n=3 -> 0.8615, n=5 -> 0.5556, n=7 -> 0.412.
    Raises MuxflowError when n is not odd, or when `w` has no or too many elements, no spread or is not finite (no step exists).
    Source: HEQ (arXiv 2501.04517) aligns thresholds with quantiles; the least-squares form is a decision.
    """
    check_levels(n)
    if not 1 <= w.numel() <= MOST_WEIGHTS:
        raise MuxflowError(f"HEQ: a tensor of shape {tuple(w.shape)}; use 1 to {MOST_WEIGHTS:,} weights (MOST_WEIGHTS)")
    flat = w.detach().flatten().float()
    index = torch.arange(n - 1, dtype=torch.float32, device=flat.device)
    centre = index - (n - 2) / 2
    step = (centre * torch.quantile(flat, (index + 1) / n)).sum() / (centre**2).sum()
    if not (torch.isfinite(step) and step > 0):
        raise MuxflowError(
            f"HEQ: the step of a tensor of shape {tuple(w.shape)} comes out as {step.item():g}; "
            "it must be positive and finite, so give weights that are finite and not all equal"
        )
    return step


class HEQTensorQuant(nn.Module):  # type: ignore[misc]
    """HEQ of one weight tensor: `value = scale * clip(round(w/s), -(n-1)/2, (n-1)/2)`, any shape in, same shape out.

    `step` (s) is a buffer: initialised from the weights, then an exponential moving average with `momentum` on each
    training pass, until `frozen` is set (see `freeze_heq`). Rounding is half to even; the straight-through estimator
    passes the gradient of `scale * w / s`, also outside the clip.
    Source: HEQ (arXiv 2501.04517); EMA momentum and gradient form are decisions.
    """

    step: Tensor

    def __init__(
        self,
        levels: int,
        level_scale: ScaleMode,
        momentum: float,
        tracked_parameter_list: list[Tensor],
    ) -> None:
        super().__init__()
        self.levels = levels
        self.momentum = momentum
        self.frozen = False
        weights = torch.cat([w.detach().flatten() for w in tracked_parameter_list])
        self.register_buffer("step", heq_step(weights, levels))
        self.scale = StatelessBuffer(torch.tensor(heq_scale(levels, level_scale)))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))
        self.bit_width = StatelessBuffer(torch.tensor(float(heq_bits(levels))))
        self.bound = StatelessBuffer(torch.tensor(float((levels - 1) // 2)))

    def forward(self, x: Tensor) -> QuantResult:
        """Quantize the weights `x`; returns (value, scale, zero point, bit width)."""
        if self.training and not self.frozen:
            self.step.lerp_(heq_step(x, self.levels), self.momentum)
        code = tensor_clamp_ste(round_ste(x / self.step), -self.bound(), self.bound())
        return code * self.scale(), self.scale(), self.zero_point(), self.bit_width()


class BinaryTensorQuant(nn.Module):  # type: ignore[misc]
    """Binary weights: `value = scale * sign(w)` with sign(0) = +1, straight-through estimator.

    `binary_scale`: "channel_mean" takes mean|w| of each output channel (axis 0); a number is a constant, which must be
    a positive power of two so that sums stay exact.
    Raises MuxflowError on any other scale. Source: ERN (arXiv 2410.11553), both forms.
    """

    def __init__(self, binary_scale: float | str) -> None:
        super().__init__()
        self.channel_mean = binary_scale == "channel_mean"
        constant = 1.0 if self.channel_mean else binary_scale
        if isinstance(constant, str) or not is_number(constant) or constant <= 0 or math.frexp(constant)[0] != 0.5:
            raise MuxflowError(
                f"binary weights: scale {binary_scale!r}; supported: 'channel_mean' or a positive power of two (1/32)"
            )
        self.constant = StatelessBuffer(torch.tensor(float(constant)))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))
        self.bit_width = StatelessBuffer(torch.tensor(1.0))

    def forward(self, x: Tensor) -> QuantResult:
        """Quantize the weights `x`; returns (value, scale, zero point, bit width)."""
        scale = x.abs().mean(dim=tuple(range(1, x.dim())), keepdim=True) if self.channel_mean else self.constant()
        return binary_sign_ste(x) * scale, scale, self.zero_point(), self.bit_width()


def half_up_ste(x: Tensor) -> Tensor:
    """Round half up, with the gradient of the identity."""
    return floor_ste(x + 0.5)


ROUNDINGS = {"ROUND": round_ste, "CEIL": ceil_ste, "FLOOR": floor_ste, "HALF_UP": half_up_ste}
"""By QONNX's name of the rounding mode."""


class UnsignedTensorQuant(nn.Module):  # type: ignore[misc]
    """Unsigned k-bit activations: `value = scale * clip(round(x/scale), 0, 2^k - 1)`; k=1 is 1{x > 0}.

    `float_to_int_impl_type`: ROUND, half to even; HALF_UP; FLOOR; CEIL, the default for one bit. One bit is written
    `clip(ceil(x/scale), 0, 1)`, which is 1{x > 0} for every float (0 and -0 give 0). QONNX executes all four identically
    (`rounding_mode`). The straight-through estimator passes the gradient wherever the code was not clipped: for k = 1 that
    is -scale < x <= scale.
    Source: MOGNET (arXiv 2501.09531) in the reported form, ERN (arXiv 2410.11553) for HALF_UP, the 1 Mb encoder
    (arXiv 2501.05097) for FLOOR; the power-of-two scale is a decision.
    """

    def __init__(self, activation_bits: int, activation_step: float, float_to_int_impl_type: str = "") -> None:
        super().__init__()
        self.rounding = ROUNDINGS[float_to_int_impl_type or ("CEIL" if activation_bits == 1 else "ROUND")]
        self.scale = StatelessBuffer(torch.tensor(activation_step))
        self.zero_point = StatelessBuffer(torch.tensor(0.0))
        self.bit_width = StatelessBuffer(torch.tensor(float(activation_bits)))
        self.top = 2**activation_bits - 1

    def forward(self, x: Tensor) -> QuantResult:
        """Quantize the activations `x`; returns (value, scale, zero point, bit width)."""
        code = torch.clamp(self.rounding(x / self.scale()), 0, self.top)
        return code * self.scale(), self.scale(), self.zero_point(), self.bit_width()


class UnsignedActQuantProxy(ActQuantProxyFromInjector):  # type: ignore[misc]
    """Activation proxy of its own type, so that its exporter writes `Quant` for one bit too."""


class _UnsignedQuantFunction(BrevitasQuantTorchScriptFn):  # type: ignore[misc]
    """Brevitas' `Quant` node for every rounding of `ROUNDINGS`; Brevitas' own evaluation does not know HALF_UP."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, zero: Tensor, bits: Tensor, narrow: bool, signed: bool, mode: str
    ) -> Tensor:
        return torch.clamp(ROUNDINGS[mode](x / scale), 0, 2 ** int(bits) - 1) * scale


class _UnsignedQuantOp:
    """How an exporter of Brevitas finds the function."""

    torchscript = _UnsignedQuantFunction


class UnsignedActQuantHandler(BrevitasActQuantProxyHandler):  # type: ignore[misc]
    """QONNX export of unsigned activations: always `Quant`.

    Brevitas' own handler writes `BipolarQuant` (-1/+1) for every one-bit activation, which is not 1{x > 0}.
    """

    handled_layer = UnsignedActQuantProxy

    def prepare_for_export(self, module: Any) -> None:
        """Collect the proxy's scale, zero point and bit width, and choose `Quant`."""
        super().prepare_for_export(module)
        self.quant_op = _UnsignedQuantOp


class PrequantizedWeightProxy(WeightQuantProxyFromInjector):  # type: ignore[misc]
    """Weight proxy of its own type, so that its exporter stores quantized weights."""


class PrequantizedWeightHandler(BrevitasWeightQuantProxyHandler):  # type: ignore[misc]
    """QONNX export of weights: the initializer that `Quant` or `BipolarQuant` reads holds the quantized values.

    Brevitas' own handler stores the float weights, which `Quant` would round by its scale: HEQ's step s is not that
    scale, so its levels would be lost.
    """

    handled_layer = PrequantizedWeightProxy

    def symbolic_execution(self, x: Tensor) -> QuantResult:
        """Emit the quantizer on the quantized values of the weights `x`."""
        result: QuantResult = super().symbolic_execution(self.quant_weight_values[x.data_ptr()])
        return result


# The stock exporter picks handlers by exact proxy type, so announcing these changes nothing for other quantizers.
QONNXManager.handlers.extend(
    handler for handler in (UnsignedActQuantHandler, PrequantizedWeightHandler) if handler not in QONNXManager.handlers
)


class HEQWeight(ExtendedInjector):  # type: ignore[misc]
    """Weight quantizer with `levels` equally populated levels (3 by default); export: `Quant`, signed, narrow.

    Options (as injector fields, or `weight_levels=5` on the layer): `levels`, `level_scale`, `momentum`.
    """

    proxy_class = PrequantizedWeightProxy
    tensor_quant = HEQTensorQuant
    levels = 3
    level_scale = "power_of_two"
    momentum = 0.1
    signed = True
    narrow_range = True
    float_to_int_impl_type = "ROUND"


class BinaryWeight(ExtendedInjector):  # type: ignore[misc]
    """Binary weight quantizer with a fixed scale of 1/32, or `binary_scale="channel_mean"`; export: `BipolarQuant`."""

    proxy_class = PrequantizedWeightProxy
    tensor_quant = BinaryTensorQuant
    binary_scale = FIXED_BINARY_SCALE
    signed = True
    narrow_range = True
    float_to_int_impl_type = "ROUND"


class PixelInput(ExtendedInjector):  # type: ignore[misc]
    """Input quantizer for 8-bit pixels p given as p/256: code p, scale 1/256, exact; export: `Quant`, unsigned."""

    proxy_class = UnsignedActQuantProxy
    tensor_quant = UnsignedTensorQuant
    activation_bits = 8
    activation_step = PIXEL_SCALE
    signed = False
    narrow_range = False
    float_to_int_impl_type = "ROUND"


def heq_weight(levels: int = 3, scale: ScaleMode = "power_of_two", momentum: float = 0.1) -> Any:
    """Make an HEQ weight quantizer with `levels` levels; raises MuxflowError on an option out of range."""
    heq_scale(levels, scale)
    check_numbers("HEQ", 0, 1, momentum=momentum)
    return HEQWeight.let(levels=levels, level_scale=scale, momentum=momentum)


def binary_weight(scale: float | Literal["channel_mean"] = FIXED_BINARY_SCALE) -> Any:
    """Make a binary weight quantizer; raises MuxflowError unless the scale is "channel_mean" or a power of two."""
    BinaryTensorQuant(scale)
    return BinaryWeight.let(binary_scale=scale)


def weight_quantizer(levels: int | Literal["binary"], scale: ScaleMode = "power_of_two") -> Any:
    """Make the weight quantizer that a `weight_levels` option names: an odd number for HEQ, or "binary".

    Raises MuxflowError on anything else.
    """
    return binary_weight() if levels == "binary" else heq_weight(levels, scale)


def unsigned_activation(bits: int, scale: ScaleMode = "power_of_two") -> Any:
    """Make an unsigned k-bit activation quantizer, k = 1..4; export: `Quant`, unsigned (k = 1: rounding mode CEIL).

    Raises MuxflowError when k or the scale is not supported.
    """
    return PixelInput.let(
        activation_bits=bits,
        activation_step=activation_scale(bits, scale),
        float_to_int_impl_type="CEIL" if bits == 1 else "ROUND",
    )


def half_wave_activation(bits: int = 2, scale: ScaleMode = "power_of_two") -> Any:
    """Make a half-wave activation quantizer: `clip(floor(x / step + 1/2), 0, 2^k - 1)` steps, k = 1..4; export: `Quant`.

    Published for k = 2: `round_half_up(clip(x, 0, 2) * 3/2)`, thresholds at 1/3, 1, 5/3. With a power of two as the step
    they lie at 3/4 of that, which the batch norm before takes up, and every sum stays exact (decision).
    Raises MuxflowError when k or the scale is not supported. Source: ERN (arXiv 2410.11553).
    """
    return PixelInput.let(
        activation_bits=bits, activation_step=half_wave_step(bits, scale), float_to_int_impl_type="HALF_UP"
    )


def hwmsb_activation(bits: int = 2, scale: ScaleMode = "power_of_two") -> Any:
    """Make a half-wave, most-significant-bits quantizer: `clip(floor(x / step), 0, 2^k - 1)` steps, k = 1..4; export: `Quant`.

    The codes are the highest bits of a positive sum. `unit` gives the published values, {0, 1/3, 2/3, 1} for k = 2;
    with `power_of_two` a step is 2^-k, so that every sum is exact (decision).
    Raises MuxflowError when k or the scale is not supported. Source: 1 Mb encoder (arXiv 2501.05097).
    """
    return PixelInput.let(
        activation_bits=bits, activation_step=activation_scale(bits, scale), float_to_int_impl_type="FLOOR"
    )


def freeze_heq(model: nn.Module, frozen: bool = True) -> int:
    """Stop (or resume) the moving average of every HEQ step in `model`; returns how many there are.

    Call it for the last epochs, and again after `load_state_dict`, which rebuilds the Brevitas quantizers.
    Source: HEQ (arXiv 2501.04517) with this project's schedule (decision).
    """
    quantizers = [m for m in model.modules() if isinstance(m, HEQTensorQuant)]
    for quantizer in quantizers:
        quantizer.frozen = frozen
    return len(quantizers)
