"""What a design must reach, and by how much its FIFOs may slow it down."""

from __future__ import annotations

from dataclasses import dataclass
from sys import float_info

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.limits import check_option, set_plain

FEWEST_FPS, LONGEST_LATENCY = 1e-6, 1e6
"""Frames a second and seconds beyond which a goal is a mistake of units (decision), and its cycles no integer of 64 bits."""

ROUNDING = 1e-12
"""Share by which a rate or a latency may be off that was computed from the very cycles that reach it."""


@dataclass(frozen=True)
class Goal:
    """What a design must reach: `fps` frames a second, `latency` seconds for one image, or neither: as fast as fits.

    Raises UsageError for both at once, and for a number that is not positive or beyond `FEWEST_FPS` or `LONGEST_LATENCY`.
    """

    fps: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        set_plain(self, "fps", "latency")
        if self.fps is not None and self.latency is not None:
            raise UsageError("both a frame rate and a latency are asked for; give one of them")
        if self.fps is not None:
            remedy = f"it must be positive and finite, at least {FEWEST_FPS:g}"
            check_option(self.fps, FEWEST_FPS, float_info.max, "a goal of {} frames a second", remedy)
        if self.latency is not None:
            remedy = f"it must be positive, at most {LONGEST_LATENCY:g}"
            check_option(self.latency, float_info.min, LONGEST_LATENCY, "a goal of {} seconds of latency", remedy)

    def interval(self, clock_mhz: float) -> int | None:
        """Give the most cycles between frames at which the rate is reached; None where none is asked for."""
        return None if self.fps is None else int(clock_mhz * 1e6 / self.fps * (1 + ROUNDING))

    def latency_cycles(self, clock_mhz: float) -> int | None:
        """Give the most cycles of one image at which the latency is reached; None where none is asked for."""
        return None if self.latency is None else int(self.latency * clock_mhz * 1e6 * (1 + ROUNDING))

    def reached(self, clock_mhz: float, interval: int, latency: int) -> bool:
        """Tell whether so many cycles between frames, and of one image, reach it."""
        most = (self.interval(clock_mhz), self.latency_cycles(clock_mhz))
        return all(limit is None or taken <= limit for taken, limit in zip((interval, latency), most, strict=True))


@dataclass(frozen=True)
class Asked:
    """What a fit was asked for: the goal, and per cent by which FIFOs may slow the pipeline down.

    Raises UsageError as `check_slowdown`.
    """

    goal: Goal
    slowdown: float = 0.0

    def __post_init__(self) -> None:
        set_plain(self, "slowdown")
        check_slowdown(self.slowdown)


def check_slowdown(percent: float) -> float:
    """Give a slowdown as Python's own number; raises UsageError for one outside 0 to 100 per cent."""
    return check_option(percent, 0, 100, "a slowdown of {} %", "give one from 0 to 100")
