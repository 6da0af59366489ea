"""Codes of the same constant rate that work patch by patch: a linear transform, quantised coefficients, linear decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muxflow.frontend.training.datasets.dataset import Bytes

Floats = npt.NDArray[np.float64]
MOST_BITS = 8
"""Of one coefficient."""
ROUNDS = 50
"""Of the Lloyd-Max iteration."""


class PatchCode(Protocol):
    """A code of patches: gives what its decoder makes of the code of each."""

    def __call__(self, patches: Floats) -> Floats:
        """Code and decode patches, (N, pixels)."""


def patches_of(plane: Bytes, side: int) -> Floats:
    """Cut a plane (H, W) into patches (N, side * side), row by row; its edges are repeated to whole patches."""
    padded = np.pad(plane, [(0, -size % side) for size in plane.shape], mode="edge").astype(np.float64)
    rows, columns = (size // side for size in padded.shape)
    return padded.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side * side)


def plane_of(patches: Floats, shape: tuple[int, int]) -> Bytes:
    """Put patches together to a plane of 8-bit pixels, as `patches_of` cut it."""
    side = round(patches.shape[1] ** 0.5)
    rows, columns = (-(-size // side) for size in shape)
    plane = patches.reshape(rows, columns, side, side).swapaxes(1, 2).reshape(rows * side, columns * side)
    return np.rint(plane).clip(0, 255).astype(np.uint8)[: shape[0], : shape[1]]


def lloyd_max(samples: Floats, levels: int) -> tuple[Floats, float]:
    """Find the levels of least mean squared error for samples (N,), and that error."""
    found = np.quantile(samples, (np.arange(levels) + 0.5) / levels)
    for _ in range(ROUNDS):
        index = nearest(found, samples)
        count = np.bincount(index, minlength=levels)
        means = np.bincount(index, samples, levels) / np.maximum(count, 1)
        found = np.sort(np.where(count > 0, means, found))
    return found, float(np.square(samples - found[nearest(found, samples)]).mean())


def nearest(levels: Floats, samples: Floats) -> npt.NDArray[np.intp]:
    """Return the index of the nearest of sorted levels for each sample."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, samples)


@dataclass(frozen=True)
class TransformCode:
    """Principal components with optimal bit allocation and Lloyd-Max quantisers.

    `mean` (pixels,), `basis` (pixels, coefficients), `levels`: of each coefficient that has bits.
    """

    mean: Floats
    basis: Floats
    levels: tuple[Floats, ...]

    def __call__(self, patches: Floats) -> Floats:
        """Code and decode patches, (N, pixels)."""
        coefficients = (patches - self.mean) @ self.basis
        chosen = (levels[nearest(levels, coefficients[:, k])] for k, levels in enumerate(self.levels))
        return np.stack(list(chosen), 1) @ self.basis.T + self.mean


def train_transform_code(patches: Floats, bits: int) -> TransformCode:
    """Fit a transform code of `bits` for a patch to patches (N, pixels).

    Bits go one after the other to the coefficient whose error they lower most, which is optimal where errors are convex.
    """
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    basis = vectors[:, np.argsort(values)[::-1][:bits]]
    coefficients = (patches - mean) @ basis
    quantisers: list[list[tuple[Floats, float]]] = []
    for column in coefficients.T:
        quantisers.append([lloyd_max(column, 1), lloyd_max(column, 2)])
    given = [0] * bits
    for _ in range(bits):
        gains = [q[g][1] - q[g + 1][1] if g < MOST_BITS else 0.0 for q, g in zip(quantisers, given, strict=True)]
        best = int(np.argmax(gains))
        given[best] += 1
        if given[best] < MOST_BITS:
            quantisers[best].append(lloyd_max(coefficients[:, best], 2 ** (given[best] + 1)))
    used = [k for k in range(bits) if given[k]]
    return TransformCode(mean, basis[:, used], tuple(quantisers[k][given[k]][0] for k in used))


@dataclass(frozen=True)
class MeasurementCode:
    """Random measurements, quantised, with the linear decoder of least squares.

    `mean` (pixels,), `matrix` (pixels, measurements), `decoder` (measurements, pixels), `levels`: of each measurement.
    """

    mean: Floats
    matrix: Floats
    decoder: Floats
    levels: tuple[Floats, ...]

    def __call__(self, patches: Floats) -> Floats:
        """Code and decode patches, (N, pixels)."""
        return _quantised((patches - self.mean) @ self.matrix, self.levels) @ self.decoder + self.mean


def _quantised(measured: Floats, levels: tuple[Floats, ...]) -> Floats:
    return np.stack([one[nearest(one, measured[:, k])] for k, one in enumerate(levels)], 1)


def train_measurement_code(patches: Floats, bits: int, each: int, seed: int = 0) -> MeasurementCode:
    """Fit a code of `bits` for a patch to patches (N, pixels): bits / each random measurements of `each` bits.

    The measurements are signs drawn by PCG64(seed), as a compressive camera has them; the decoder knows the statistics of
    patches (linear least squares).
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    matrix = rng.choice([-1.0, 1.0], (patches.shape[1], bits // each))
    mean = patches.mean(0)
    centred = patches - mean
    measured = centred @ matrix
    levels = tuple(lloyd_max(column, 2**each)[0] for column in measured.T)
    decoder, *_ = np.linalg.lstsq(_quantised(measured, levels), centred, rcond=None)
    return MeasurementCode(mean, matrix, decoder, levels)
