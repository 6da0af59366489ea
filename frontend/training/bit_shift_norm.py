"""Bit-Shift Normalisation: one shift for a whole layer and an integer bias in place of batch norm, as a torch layer."""

from __future__ import annotations

import torch
from brevitas.function.ops_ste import round_ste
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.quantities import counted
from muxflow.frontend.training.scales import BIASES, MOST_SHIFT, MOST_VALUE, BiasPer, check_numbers, check_sizes


class BitShiftNorm2d(nn.BatchNorm2d):  # type: ignore[misc]
    """Add an integer bias to integer sums and shift them right, one shift for all channels: `(sum + bias_c) / 2^p` steps.

    Input (N, C, H, W): integer sums times `unit`. Output, same shape: quotients times `step`, not yet rounded down; half
    a sum's step is added to the bias, which no floor can tell from the integer, so that float noise decides nothing.

    `weight` (gamma) and `bias` (beta) are the standard deviation and the mean that are asked for, in units of the output's
    values, `running_mean` and `running_var` statistics of the sums' values, all as batch norm has them. In training
    `p = max(0, round(median_c log2(sigma_c / gamma_c)))` of the running statistics, sigma in sums and gamma in steps, and
    `bias_c = round(beta_c 2^p - mean_c)`, of the batch's mean; `bias_per` "layer" takes the mean of all channels' instead.
    In evaluation, and once `frozen` (see `freeze_bit_shifts`), the shift is the buffer `shift` and the mean the running one.
    Raises MuxflowError when a number or an option is out of range, in training where sums are not finite, and where the shift
    leaves 0..MOST_SHIFT.
    Source: 1 Mb encoder (arXiv 2501.05097), one bit shift a layer; how p and the bias are found are decisions.
    """

    shift: Tensor

    def __init__(
        self,
        channels: int,
        unit: float,
        step: float,
        *,
        deviation: float = 0.3,
        mean: float = 0.4,
        bias_per: BiasPer = "channel",
    ) -> None:
        check_sizes("bit-shift norm", channels=channels)
        check_numbers("bit-shift norm", 1 / MOST_VALUE, unit=unit, step=step)
        check_numbers("bit-shift norm", -MOST_VALUE, deviation=deviation, mean=mean)
        if bias_per not in BIASES:
            raise MuxflowError(f"bit-shift norm: bias_per {bias_per!r}; supported: {', '.join(BIASES)}")
        super().__init__(channels)
        nn.init.constant_(self.weight, deviation)
        nn.init.constant_(self.bias, mean)
        self.unit, self.step, self.bias_per = unit, step, bias_per
        self.frozen = False
        self.register_buffer("shift", torch.tensor(0))

    def _measure(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take the statistics of a batch into the running ones; returns (mean of the batch, p with gradients)."""
        mean = x.mean(dim=(0, 2, 3))
        with torch.no_grad():
            self.num_batches_tracked += 1
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_((x - mean.view(1, -1, 1, 1)).square().mean(dim=(0, 2, 3)), share)
        sigma = torch.sqrt(self.running_var + self.eps * self.unit**2) / self.unit
        gamma = (self.weight / self.step).abs().clamp_min(self.eps)
        shift = round_ste(torch.quantile(torch.log2(sigma / gamma), 0.5)).clamp_min(0)
        if not torch.isfinite(shift):
            raise MuxflowError(
                f"bit-shift norm of {counted(self.num_features, 'channel')}: sums or parameters are not finite; lower the "
                "learning rate"
            )
        self.shift.copy_(shift.detach())
        return mean, shift

    def integer_bias(self, mean: Tensor, shift: Tensor) -> Tensor:
        """Return the integer bias of each channel, or of the layer, for means of the sums' values; gradients pass."""
        bias = torch.exp2(shift) * self.bias.double() / self.step - mean.double() / self.unit
        return round_ste(bias if self.bias_per == "channel" else bias.mean(dim=0, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the sums `x`."""
        if self.training and not self.frozen:
            mean, shift = self._measure(x)
        else:
            mean, shift = self.running_mean, self.shift.double()
        if not 0 <= int(self.shift) <= MOST_SHIFT:
            raise MuxflowError(
                f"bit-shift norm of {counted(self.num_features, 'channel')}: a shift by "
                f"{counted(int(self.shift), 'bit')}; supported are 0 to "
                f"{MOST_SHIFT}: sums this large need more than a shift, so lower the bits of inputs or weights, or train again"
            )
        bias = (self.integer_bias(mean, shift) + 0.5).to(x) * self.unit
        factor = torch.exp2(-shift).to(x) * (self.step / self.unit)
        if not torch.is_grad_enabled():  # an exported file holds the numbers themselves
            bias, factor = (torch.from_numpy(part.cpu().numpy()).to(x) for part in (bias, factor))
        return (x + bias.view(1, -1, 1, 1)) * factor


def freeze_bit_shifts(model: nn.Module, frozen: bool = True) -> int:
    """Hold (or release) shift and statistics of every bit-shift norm in `model`; returns how many there are.

    A frozen one computes in training what it computes in evaluation, so the last epochs train the network that is exported.
    """
    norms = [module for module in model.modules() if isinstance(module, BitShiftNorm2d)]
    for norm in norms:
        norm.frozen = frozen
    return len(norms)
