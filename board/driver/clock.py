"""The accelerator's clock, measured against the processor's time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from .results import Counters

CLOCK_SECONDS = 0.1
"""How long the stream monitor's cycles are counted against the processor's time."""

CLOCK_SAMPLES = 5


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measured_clock(counters: Callable[[], Counters]) -> float | None:
    """Measure the clock in MHz by the stream monitor's cycles; None in the emulator, which has none."""
    if counters().cycles is None:
        return None
    started, before = _best(counters)
    time.sleep(CLOCK_SECONDS)
    ended, after = _best(counters)
    return (after - before) / (ended - started) / 1e6


def _best(counters: Callable[[], Counters]) -> tuple[float, int]:
    """Give a moment and the cycles at it: the quickest of some readings, since this thread may have to wait in one."""
    samples = []
    for _ in range(CLOCK_SAMPLES):
        started = time.perf_counter()
        cycles = counters().cycles
        ended = time.perf_counter()
        assert cycles is not None
        samples.append((ended - started, (started + ended) / 2, cycles))
    _, moment, cycles = min(samples)
    return moment, cycles
