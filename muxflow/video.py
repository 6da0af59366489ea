"""A video that arrives picture by picture: the class of the last ones, each time one is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.board.driver import Accelerator
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.graph.graph import Graph

CLIPS = 4
"""Clips that a demo shows one after the other (decision)."""


@dataclass(frozen=True)
class Arrival:
    """What is said once picture `picture` (from 1) has arrived: the class of the clip that ends there, "" before the first."""

    picture: int
    label: str
    shown: str

    @property
    def caption(self) -> str:
        """Give what stands below the picture in a plot."""
        return self.label or "-"

    @property
    def line(self) -> str:
        """Give it as a line of text."""
        return f"picture {self.picture:>3}   shown: {self.shown:<14} class: {self.caption}"


def check_clips(graph: Graph) -> None:
    """Raise UsageError where a network takes no clips."""
    if not graph.pictures:
        shapes = " and ".join(str(graph.streams[name].shape) for name in graph.inputs)
        raise UsageError(f"--video: the network's input has shape {shapes}; it needs one of clips, (pictures, H, W, C)")


def watch(
    accelerator: Accelerator, clips: npt.NDArray[np.uint8], labels: Sequence[int], classes: Sequence[str]
) -> Iterator[Arrival]:
    """Play clips (N, T, H, W, C) one after the other, and classify the last T pictures as soon as each is there.

    `labels`: of the clips, indices of `classes`. A window that holds the end of one clip and the start of the next belongs
    to neither: the class follows with a delay.
    """
    count, length = clips.shape[:2]
    pictures = clips.reshape(count * length, *clips.shape[2:])
    for arrived in range(1, len(pictures) + 1):
        label = ""
        if arrived >= length:
            (number,) = accelerator.classify(pictures[None, arrived - length : arrived])
            label = classes[int(number)]
        yield Arrival(arrived, label, classes[labels[(arrived - 1) // length]])
