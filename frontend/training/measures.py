"""How near a decoded picture is to its original, and how much its block edges show."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from muxflow.frontend.training.datasets.dataset import Bytes

Plane = npt.NDArray[np.float64]
TOP = 255.0
WINDOW, SIGMA = 11, 1.5
"""Of SSIM: width of the Gaussian window and its standard deviation, in pixels."""
BLOCK = 16


def psnr(original: Bytes, decoded: Bytes) -> float:
    """Return the peak signal-to-noise ratio of grey values (H, W) in dB, infinite where they are equal."""
    error = float(np.square(original.astype(np.float64) - decoded).mean())
    return math.inf if error == 0 else 10 * math.log10(TOP**2 / error)


def ssim(original: Bytes, decoded: Bytes) -> float:
    """Return the mean structural similarity of grey values (H, W), 11 pixels or more on each side; 1 where they are equal.

    Gaussian window of 11x11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, windows inside the picture only.
    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    x, y = original.astype(np.float64), decoded.astype(np.float64)
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x, variance_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * TOP) ** 2, (0.03 * TOP) ** 2
    similar = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((similar / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))).mean())


def _smooth(plane: Plane) -> Plane:
    """Convolve rows and columns with the window; what does not fit inside is left out."""
    places = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(places**2) / (2 * SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        shifted = np.lib.stride_tricks.sliding_window_view(plane, WINDOW, axis)
        plane = shifted @ window
    return plane


def blockiness(decoded: Bytes, original: Bytes, block: int = BLOCK) -> float:
    """Measure visible block edges: 1 where steps across block edges are as large as inside, more where edges show.

    The mean absolute step of the error (decoded - original) between neighbours on both sides of an edge of `block` pixels,
    over the mean between neighbours that no edge parts, rows and columns together. Edges of the picture itself are in
    neither. Source: decision.
    """
    error = decoded.astype(np.float64) - original
    across, inside = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(error, axis=axis))
        edge = np.arange(1, error.shape[axis]) % block == 0
        across.append(np.compress(edge, steps, axis).ravel())
        inside.append(np.compress(~edge, steps, axis).ravel())
    within = float(np.concatenate(inside).mean())
    return float(np.concatenate(across).mean()) / within if within else 1.0
