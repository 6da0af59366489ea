"""Access patterns: in which iterations of a node's loop its ports are used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import GraphError

Runs = tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class Pattern:
    """In which iterations of a loop a port is used: runs of (iterations, used), the whole played `repeat` times.

    A pattern in the place of a run is played there, so that a map of any number of rows is a few runs.
    """

    runs: tuple[tuple[int, bool] | Pattern, ...]
    repeat: int = 1

    @cached_property
    def parts(self) -> tuple[tuple[Runs, int], ...]:
        """List the same as (runs, repeat), one after the other, no run empty."""
        found: list[tuple[Runs, int]] = []
        for run in self.runs:
            if isinstance(run, Pattern):
                found += run.parts
            elif run[0]:
                found.append(((run,), 1))
        # Neighbours that are played once are one part; so is everything where it is played again and again.
        parts: list[tuple[Runs, int]] = []
        for runs, repeat in found:
            if self.repeat > 1 and len(found) > 1:
                runs, repeat = runs * repeat, 1
            if repeat == 1 and parts and parts[-1][1] == 1:
                runs = parts.pop()[0] + runs
            parts.append((_merged(runs), repeat))
        if self.repeat != 1:
            parts = [(runs, repeat * self.repeat) for runs, repeat in parts if self.repeat]
        return tuple((((runs[0][0] * n, runs[0][1]),), 1) if len(runs) == 1 else (runs, n) for runs, n in parts)

    @property
    def trips(self) -> int:
        """Iterations covered."""
        return self.repeat * sum(run.trips if isinstance(run, Pattern) else run[0] for run in self.runs)

    @property
    def beats(self) -> int:
        """Iterations in which the port is used."""
        return self.repeat * sum(run.beats if isinstance(run, Pattern) else run[0] * run[1] for run in self.runs)

    @property
    def longest(self) -> int:
        """The most iterations that one run uses the port in."""
        return max((count for runs, _ in self.parts for count, used in runs if used), default=0)

    def mask(self) -> npt.NDArray[np.bool_]:
        """List one flag an iteration, shape (trips,)."""
        masks = [
            np.tile(np.repeat([used for _, used in runs], [count for count, _ in runs]), repeat)
            for runs, repeat in self.parts
        ]
        return np.concatenate([np.zeros(0, bool), *masks])

    @staticmethod
    def of(mask: npt.NDArray[np.bool_]) -> Pattern:
        """Make the pattern of one flag an iteration, shape (trips,)."""
        changes = np.flatnonzero(np.diff(mask)) + 1
        bounds = np.concatenate([[0], changes, [len(mask)]])
        return Pattern(tuple(zip(np.diff(bounds).tolist(), mask[bounds[:-1]].tolist(), strict=True)))

    @staticmethod
    def always(trips: int) -> Pattern:
        """Use the port in every iteration."""
        return Pattern(((trips, True),))

    @staticmethod
    def last_of(period: int, repeat: int) -> Pattern:
        """Use the port in the last iteration of every `period`."""
        return Pattern(((period - 1, False), (1, True)), repeat)

    @staticmethod
    def first_of(period: int, repeat: int) -> Pattern:
        """Use the port in the first iteration of every `period`."""
        return Pattern(((1, True), (period - 1, False)), repeat)


@dataclass(frozen=True)
class Access:
    """The flattened loop of a node for one frame: an iteration reads and writes at most one beat a port.

    `reads`, `writes`: one pattern a port, each over the same number of iterations.
    Raises GraphError where the patterns disagree on that number.
    """

    reads: tuple[Pattern, ...]
    writes: tuple[Pattern, ...]

    def __post_init__(self) -> None:
        trips = {pattern.trips for pattern in self.reads + self.writes}
        if len(trips) != 1:
            raise GraphError(f"access pattern: its ports disagree on the number of iterations, {sorted(trips)}")

    @property
    def trips(self) -> int:
        """Iterations in a frame."""
        return (self.reads + self.writes)[0].trips

    def delayed(self, idle: int) -> Access:
        """Put iterations that use no port before those of a frame."""
        if not idle:
            return self
        reads, writes = (tuple(Pattern(((idle, False), one)) for one in ports) for ports in (self.reads, self.writes))
        return Access(reads, writes)


def _merged(runs: Runs) -> Runs:
    """Join neighbouring runs of the same kind."""
    return tuple((sum(count for count, _ in equal), used) for used, equal in groupby(runs, key=itemgetter(1)))
