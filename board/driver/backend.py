"""What plays the accelerator: the hardware, or its C simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Sequence

import numpy as np

from .errors import AcceleratorError

if TYPE_CHECKING:
    from .interface import Seed
    from .packing import Words
    from .results import Counters

LONGEST_TIMEOUT = 1e6
"""Seconds (decision): clocks of the system do not count without end."""


def check_batch(batch: int, what: str) -> None:
    """Raise AcceleratorError unless a batch is a whole number of frames, at least one; `what`: says what it is of."""
    whole = isinstance(batch, (int, np.integer))
    if not whole or batch < 1:
        met = batch if whole or isinstance(batch, float) else type(batch).__name__
        raise AcceleratorError(f"a batch of {met} {what}")


def check_timeout(timeout: float) -> None:
    """Raise AcceleratorError unless a timeout is a number of seconds from 0 to LONGEST_TIMEOUT."""
    number = isinstance(timeout, (int, float, np.integer, np.floating))
    if not number or not 0 <= timeout <= LONGEST_TIMEOUT:
        short = isinstance(timeout, float) or (number and -LONGEST_TIMEOUT < timeout < 0)
        met = f"{timeout:g} s" if short else f"of type {type(timeout).__name__}"
        raise AcceleratorError(f"a timeout {met}; give seconds, at most {LONGEST_TIMEOUT:g}")


class Backend(Protocol):
    """Two slots of words, an array an input and an array an output; at most one slot is under way.

    `source`: "board" or "emulator". Every method raises AcceleratorError.
    """

    source: str

    def load(self, slot: int, words: Sequence[Words]) -> None:
        """Put the words of each input, shape (N, words a frame), into a slot that is not under way."""

    def start(self, slot: int) -> None:
        """Send what was loaded into a slot; nothing may be under way."""

    def wait(self, slot: int, seconds: float) -> tuple[Words, ...]:
        """Await the words of each output of a started slot, shape (N, words a frame), valid until the slot is loaded again."""
        ...

    def reset(self) -> None:
        """Give up what is under way and bring the accelerator into its first state, seeds kept."""

    def write_seed(self, seed: Seed, cells: tuple[int, ...]) -> None:
        """Give a weight generator another start."""

    def write_state(self, state: Seed, cells: tuple[int, ...]) -> None:
        """Name the frame with which a recurrent layer begins anew; a reset forgets it."""

    def load_weights(self, words: Words, seconds: float) -> int:
        """Fill the memories that are loaded at run time and give the checksum that comes back; a reset empties them.

        `words`: of shape (N,), without the last one, which is 0. Nothing may be under way.
        """
        ...

    def counters(self) -> Counters:
        """Tell what was counted since `clear_counters`."""
        ...

    def clear_counters(self) -> None:
        """Count anew."""

    def close(self) -> None:
        """Give everything back."""
