"""Linear codes of patches at a constant rate: principal components or random measurements, quantised, linear decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.datasets.dataset import Bytes

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
MOST_BITS = 8
"""Of one coefficient."""
ROUNDS = 50
"""Of the Lloyd-Max iteration."""


class PatchCode(Protocol):
    """A code of patches: gives what its decoder makes of the code of each."""

    def __call__(self, patches: Floats) -> Floats:
        """Encode and decode patches, (N, pixels)."""


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


@dataclass(frozen=True)
class Quantiser:
    """Scalar quantisers of some numbers; `levels`: the sorted levels of each."""

    levels: tuple[Floats, ...]

    def indices(self, values: Floats) -> Indices:
        """Return the index of the nearest level of each value, (N, numbers)."""
        return np.stack([nearest(one, values[:, k]) for k, one in enumerate(self.levels)], 1)

    def values(self, indices: Indices) -> Floats:
        """Return the levels of indices, (N, numbers)."""
        return np.stack([one[indices[:, k]] for k, one in enumerate(self.levels)], 1)

    def gray_bits(self, indices: Indices) -> Bytes:
        """Write indices as bits 0 and 1 in Gray codes, highest bit first: one bit changes from a level to the next."""
        gray = indices ^ (indices >> 1)
        widths = [len(one).bit_length() - 1 for one in self.levels]
        return np.stack(
            [gray[:, k] >> bit & 1 for k, width in enumerate(widths) for bit in range(width - 1, -1, -1)], 1
        ).astype(np.uint8)


def lloyd_max(samples: Floats, levels: int) -> tuple[Floats, float]:
    """Find the levels of least mean squared error for samples (N,), and that error."""
    found = np.quantile(samples, (np.arange(levels) + 0.5) / levels)
    for _ in range(ROUNDS):
        index = nearest(found, samples)
        count = np.bincount(index, minlength=levels)
        means = np.bincount(index, samples, levels) / np.maximum(count, 1)
        found = np.sort(np.where(count > 0, means, found))
    return found, float(np.square(samples - found[nearest(found, samples)]).mean())


def nearest(levels: Floats, samples: Floats) -> Indices:
    """Return the index of the nearest of sorted levels for each sample."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, samples)


@dataclass(frozen=True)
class TransformCode:
    """Principal components with optimal bit allocation and Lloyd-Max quantisers.

    `mean` (pixels,), `basis` (pixels, coefficients): of those that have bits; `quantiser`: of them.
    """

    mean: Floats
    basis: Floats
    quantiser: Quantiser

    def __call__(self, patches: Floats) -> Floats:
        """Encode and decode patches, (N, pixels)."""
        return self.quantiser.values(self._indices(patches)) @ self.basis.T + self.mean

    def bits(self, patches: Floats) -> Bytes:
        """Encode patches (N, pixels) to bits 0 and 1, (N, bits)."""
        return self.quantiser.gray_bits(self._indices(patches))

    def _indices(self, patches: Floats) -> Indices:
        return self.quantiser.indices((patches - self.mean) @ self.basis)


def train_transform_code(
    patches: Floats,
    bits: int,
    most: int = MOST_BITS,
    comparisons: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> TransformCode:
    """Fit a transform code of `bits` for a patch to patches (N, pixels), `most` of them for one coefficient.

    Bits go one after the other to the coefficient whose error they lower most, which is optimal where errors are convex.
    `comparisons`: how many thresholds between levels there may be in all, `bits` at least; None for any number.
    `progress` is told how many of 2 `bits` steps are done. Raises MuxflowError where there are fewer comparisons than bits.
    """
    limit = bits * 2**most if comparisons is None else comparisons
    if limit < bits:
        raise MuxflowError(f"transform code: {limit} comparisons for {bits} bits; each bit needs one at least")
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    basis = vectors[:, np.argsort(values)[::-1][:bits]]
    coefficients = (patches - mean) @ basis
    told = progress or (lambda done: None)
    found: list[list[tuple[Floats, float]]] = []
    for column in coefficients.T:
        found.append([lloyd_max(column, 1), lloyd_max(column, 2)])
        told(len(found))
    given = [0] * bits
    for left in reversed(range(bits)):
        free = limit - left - sum(2**g - 1 for g in given)
        gains = [q[g][1] - q[g + 1][1] if g < most and 2**g <= free else 0.0 for q, g in zip(found, given, strict=True)]
        best = int(np.argmax(gains))
        given[best] += 1
        if given[best] < most:
            found[best].append(lloyd_max(coefficients[:, best], 2 ** (given[best] + 1)))
        told(2 * bits - left)
    used = [k for k in range(bits) if given[k]]
    return TransformCode(mean, basis[:, used], Quantiser(tuple(found[k][given[k]][0] for k in used)))


@dataclass(frozen=True)
class MeasurementCode:
    """Random measurements, quantised, with the linear decoder of least squares.

    `mean` (pixels,), `matrix` (pixels, measurements), `decoder` (measurements, pixels), `quantiser`: of measurements.
    """

    mean: Floats
    matrix: Floats
    decoder: Floats
    quantiser: Quantiser

    def __call__(self, patches: Floats) -> Floats:
        """Encode and decode patches, (N, pixels)."""
        measured = self.quantiser.indices((patches - self.mean) @ self.matrix)
        return self.quantiser.values(measured) @ self.decoder + self.mean


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
    quantiser = Quantiser(tuple(lloyd_max(column, 2**each)[0] for column in measured.T))
    decoder, *_ = np.linalg.lstsq(quantiser.values(quantiser.indices(measured)), centred, rcond=None)
    return MeasurementCode(mean, matrix, decoder, quantiser)
