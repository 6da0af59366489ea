"""A transform code as layers: comparisons of quinary measurements give its bits, the decoder's first layers read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d, freeze_bit_shifts
from muxflow.frontend.training.frame_decoder import FrameDecoder
from muxflow.frontend.training.linear_codes import Floats, Quantiser, TransformCode
from muxflow.frontend.training.quantizers import freeze_heq

TOP = 2
"""Largest weight of a measurement: quinary."""
SPREADS = (1.2, 1.6, 2.0, 2.6)
"""Standard deviations of a row's values that the largest weight stands for at first; the best end is kept."""
ROUNDS = 8
"""Of the descent, at most."""


def whole_row(vector: Floats, covariance: Floats, top: int = TOP) -> tuple[Floats, float]:
    """Find whole numbers of -top..top and a scale whose product measures patches as `vector` does.

    `vector` (pixels,), `covariance` (pixels, pixels): of the patches. Coordinate descent on the variance of the difference of
    the two measurements: the error of rounding goes where patches hold little. Returns the row (pixels,) and the scale.
    Source: decision.
    """
    best: tuple[float, Floats, float] | None = None
    for spread in SPREADS:
        row = np.rint(vector * top / (spread * vector.std())).clip(-top, top)
        for _ in range(ROUNDS):
            if not _descend(row, vector, covariance, top):
                break
        measured = covariance @ row
        scale = float(vector @ measured / (row @ measured))
        error = scale * row - vector
        missed = float(error @ covariance @ error)
        if best is None or missed < best[0]:
            best = missed, row, scale
    assert best is not None
    return best[1:]


def _descend(row: Floats, vector: Floats, covariance: Floats, top: int) -> bool:
    """Move each number of a row by one, in place, where that lowers the error; returns whether any moved."""
    measured = covariance @ row
    scale = vector @ measured / (row @ measured)
    slope, moved = scale * measured - covariance @ vector, False
    for place in np.argsort(-np.abs(slope)):
        step = -np.sign(slope[place])
        gain = 2 * step * scale * slope[place] + scale**2 * covariance[place, place]
        if gain < 0 and abs(row[place] + step) <= top:
            row[place] += step
            slope += step * scale * covariance[:, place]
            moved = True
    return moved


@dataclass(frozen=True)
class Comparisons:
    """A transform code as comparisons: bit b is `sum_i signs[b, i] * (rows[i] @ pixels > thresholds[i])`.

    `rows` (comparisons, pixels): whole numbers of -TOP..TOP; `thresholds` (comparisons,): whole; `signs` (bits, comparisons): of
    -1, 0, 1. Pixels have 8 bits.
    """

    rows: Floats
    thresholds: Floats
    signs: Floats


def comparisons(transform: TransformCode, patches: Floats) -> Comparisons:
    """Write a transform code as comparisons; `patches` (N, pixels): to whose statistics rows are rounded.

    From one level of a coefficient to the next a bit of the Gray code goes up, goes down or stays, so it is the sum of the
    changes at all thresholds that a patch lies above. Source: decision.
    """
    covariance = np.cov((patches - transform.mean).T)
    rows, thresholds, signs = [], [], []
    for vector, levels in zip(transform.basis.T, transform.quantiser.levels, strict=True):
        row, scale = whole_row(vector, covariance)
        between = np.floor((levels[1:] + levels[:-1]) / 2 / scale + row @ transform.mean)
        rows.append(np.tile(row, (len(between), 1)))
        thresholds.append(between)
        signs.append(torch.from_numpy(np.diff(gray_bits(len(levels)), axis=0).T))
    return Comparisons(np.concatenate(rows), np.concatenate(thresholds), torch.block_diag(*signs).numpy())


def gray_bits(levels: int) -> Floats:
    """List the Gray code of each level, highest bit first, (levels, bits); `levels`: a power of two, 2 or more."""
    return Quantiser((np.arange(float(levels)),)).gray_bits(np.arange(levels)[:, None]).astype(np.float64)


def write_encoder(code: nn.Sequential, found: Comparisons) -> None:
    """Make comparisons the weights and biases of an encoder's code layers, in place, frozen.

    `code`: a convolution of whole patches with activations of one bit, and a ternary one of the bits, with bit-shift norm.
    HEQ's step is 1, so that weights round to their codes. What is left of the channels stays zero.
    Raises MuxflowError when the layers are others, or the channels too few. Source: decision.
    """
    needed, channels = len(found.thresholds), code[0].conv.weight.shape[0]
    norms = [layer.norm for layer in code if isinstance(layer.norm, BitShiftNorm2d)]
    if len(code) != 2 or code[0].act.act_quant.bit_width() != 1:
        raise MuxflowError("code layers: comparisons need one measured layer, with activations of one bit")
    if [norm.bias_per for norm in norms] != ["channel"] * 2 or code[
        0
    ].conv.weight_quant.tensor_quant.levels < 2 * TOP + 1:
        raise MuxflowError(
            "code layers: comparisons need bit-shift norm with a bias for each channel, and quinary weights that measure"
        )
    if channels < needed:
        raise MuxflowError(
            f"code layers: {channels} measured channels; the code has {needed} comparisons: lower `most`"
        )
    rows = np.zeros((channels, found.rows.shape[1]))
    rows[:needed] = found.rows
    signs = np.zeros((len(found.signs), channels))
    signs[:, :needed] = found.signs
    for layer, weights, biases in (
        (code[0], rows, np.pad(-found.thresholds, (0, channels - needed))),
        (code[1], signs, np.zeros(len(signs))),
    ):
        conv, norm, quantizer = layer.conv, layer.norm, layer.conv.weight_quant.tensor_quant
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(within_levels(weights)).reshape(conv.weight.shape))
            quantizer.step.fill_(1.0)
            norm.running_mean.zero_()
            norm.shift.zero_()
            norm.bias.copy_(torch.from_numpy(biases * norm.step))
    freeze_heq(code)
    freeze_bit_shifts(code)


def within_levels(codes: Floats) -> Floats:
    """Spread the zeros of whole weights over the middle of their level, in order: a file is loaded by way of HEQ's quantiles.

    Same shape; each value rounds to its code. Quantiles of weights that are mostly equal would give no step (decision).
    """
    values, zeros = codes.copy(), codes == 0
    values[zeros] = np.linspace(-0.4, 0.4, int(zeros.sum()))
    return values


def write_decoder(decoder: FrameDecoder, transform: TransformCode) -> None:
    """Make a decoder begin as the inverse of a transform code, patch by patch, in place.

    A hidden unit answers to one codeword of one coefficient, a feature is a coefficient, in standard deviations; what is left
    of both stays random. Raises MuxflowError when the decoder has too few of them. Source: decision.
    """
    first, _, second = decoder.patch
    pixels = decoder.pixels[0]
    levels = transform.quantiser.levels
    for name, needed in (("hidden", sum(map(len, levels))), ("features", len(levels))):
        if getattr(decoder.config, name) < needed:
            raise MuxflowError(f"frame decoder: {name} = {getattr(decoder.config, name)}; the code needs {needed}")
    with torch.no_grad():
        pixels.weight.zero_()
        pixels.bias.copy_(torch.from_numpy(transform.mean / 256))
        unit = bit = 0
        for feature, values in enumerate(levels):
            words = torch.from_numpy(2 * gray_bits(len(values)) - 1)
            units = slice(unit, unit + len(words))
            spread = float(np.sqrt(np.square(values).mean()))
            first.weight[units] = 0
            first.weight[units, bit : bit + words.shape[1], 0, 0] = words.float()
            first.bias[units] = 1 - words.shape[1]
            second.weight[feature] = 0
            second.bias[feature] = 0
            second.weight[feature, units, 0, 0] = torch.from_numpy(values / spread).float()
            pixels.weight[:, feature, 0, 0] = torch.from_numpy(transform.basis[:, feature] * spread / 256).float()
            unit, bit = units.stop, bit + words.shape[1]
