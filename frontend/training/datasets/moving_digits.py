"""Moving digits: short clips of real MNIST digits in motion, whose classes are the motions (the Moving-MNIST idea)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.frontend.training.datasets.dataset import Bytes, Dataset, Split
from muxflow.frontend.training.datasets.mnist import load_mnist_5k

Floats = npt.NDArray[np.float64]

FRAMES, FIELD = 16, 32
"""Frames of a clip; height and width of the field."""
DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
CLASSES = (*DIRECTIONS, "zoom in", "zoom out", "rotate left", "rotate right", "still")
CLIPS = {"train": 4, "test": 1}
"""Clips of each digit image, by split (decision)."""
SEEDS = {"train": 0, "test": 1}
SPEED = (1.0, 2.0)
"""Pixels a frame."""
ZOOM = (0.06, 0.1)
"""Octaves of the digit's size a frame."""
TURN = (8.0, 14.0)
"""Degrees a frame."""
LARGEST, OCTAVES = 1.0, 1.0
"""Largest size, of the digit's own, and how many octaves below it the smallest lies."""


@dataclass(frozen=True)
class Motion:
    """Where digits are and how they move, an array (N,) each: the state at the first frame and its change a frame.

    `row`, `column`: of the middle, in pixels; `zoom`: octaves below the largest size; `angle`: degrees, clockwise.
    """

    start: dict[str, Floats]
    change: dict[str, Floats]

    def at(self, name: str) -> Floats:
        """Give a part of the state in each frame, (N, FRAMES), within its period."""
        steps = np.arange(FRAMES)
        return (self.start[name][:, None] + steps * self.change[name][:, None]) % PERIODS[name]


PERIODS = {"row": float(FIELD), "column": float(FIELD), "zoom": OCTAVES, "angle": 360.0}
"""After which each part of the state comes back: the field's edges meet, and so do smallest and largest size."""


def draw_motion(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Motion:
    """Draw the motions of clips of these classes.

    The state at the first frame is uniform over all periods, whatever the class, and a change keeps it so: each frame
    alone has the same distribution in every class, and tells nothing of it.
    """
    start = {name: rng.uniform(0, period, len(labels)) for name, period in PERIODS.items()}
    pixels, octaves, degrees = (rng.uniform(*limits, len(labels)) for limits in (SPEED, ZOOM, TURN))
    heading = np.deg2rad(45.0 * labels)
    moves = labels < len(DIRECTIONS)
    turned = [(labels == CLASSES.index(name)).astype(float) for name in CLASSES[len(DIRECTIONS) : -1]]
    change = {
        "row": pixels * np.sin(heading) * moves,
        "column": pixels * np.cos(heading) * moves,
        "zoom": octaves * (turned[1] - turned[0]),
        "angle": degrees * (turned[3] - turned[2]),
    }
    return Motion(start, change)


def render(digits: Bytes, motion: Motion) -> Bytes:
    """Draw digits (N, H, W) in motion on a black field whose opposite edges meet: clips (N, FRAMES, FIELD, FIELD, 1).

    Each pixel takes the digit's value at its place, bilinear between four pixels and rounded half up.
    """
    count, height, width = digits.shape
    padded = np.pad(digits, ((0, 0), (1, 2), (1, 2))).astype(np.float64)
    places = np.arange(FIELD)
    down, right = (
        ((places - motion.at(name)[:, :, None] + FIELD / 2) % FIELD) - FIELD / 2 for name in ("row", "column")
    )
    size = (LARGEST * np.exp2(-motion.at("zoom")))[:, :, None, None]
    angle = np.deg2rad(motion.at("angle"))[:, :, None, None]
    cosine, sine = np.cos(angle) / size, np.sin(angle) / size
    rows = cosine * down[..., None] - sine * right[:, :, None, :] + (height - 1) / 2
    columns = sine * down[..., None] + cosine * right[:, :, None, :] + (width - 1) / 2
    rows, columns = np.clip(rows, -1, height) + 1, np.clip(columns, -1, width) + 1
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    below, beside = rows - top, columns - left
    which = np.arange(count)[:, None, None, None]
    upper = padded[which, top, left] * (1 - beside) + padded[which, top, left + 1] * beside
    lower = padded[which, top + 1, left] * (1 - beside) + padded[which, top + 1, left + 1] * beside
    drawn: Bytes = np.floor(upper * (1 - below) + lower * below + 0.5).astype(np.uint8)
    return drawn[..., None]


def moving_digits(digits: Bytes, clips: int, seed: int) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Make so many clips of each digit (N, H, W), and their classes: digit after digit, classes equally often.

    Every random draw is of PCG64(seed); same arguments, same clips.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    count = len(digits) * clips
    labels = rng.permutation(np.arange(count) % len(CLASSES))
    motion = draw_motion(labels, rng)
    made = np.empty((count, FRAMES, FIELD, FIELD, 1), np.uint8)
    for first in range(0, count, 64):  # what is in between takes 200 times the memory of the clips
        chosen = slice(first, first + 64)
        part = Motion(
            *({name: values[chosen] for name, values in parts.items()} for parts in (motion.start, motion.change))
        )
        made[chosen] = render(digits[np.arange(count)[chosen] // clips], part)
    return made, labels


def load_moving_digits(split: Split) -> Dataset:
    """Load clips of the digits of `load_mnist_5k` in motion: (N, 16, 32, 32, 1), 13 classes; raises as that does.

    Classes: eight directions, zoom in and out, rotate left and right, still. The digit's middle, size (half to whole)
    and angle (any) are uniform in each frame whatever the class; the field's edges meet, and a digit at its largest goes
    on from its smallest. Splits are those of the digit images: no digit of a test clip is in a training clip. 16,000
    clips to train on, four of each of 4,000 digits; 1,000 to test on, one of each of 1,000.
    Source: the Moving-MNIST idea (arXiv 1502.04681); motions, sizes and speeds are decisions.
    """
    digits = load_mnist_5k(split)
    clips = CLIPS[split]
    images, labels = moving_digits(digits.images[:][..., 0], clips, SEEDS[split])
    sources = np.repeat(np.arange(len(digits)), clips)
    return Dataset("moving_digits", split, images, labels, CLASSES, sources)
