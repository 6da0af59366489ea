"""What the steps of a benchmark take: a table of processor seconds, wall seconds and peak memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping

from rich.table import Table


class Steps:
    """A table that gains a row at the end of each step.

    Seconds are of the processor, this process and its compilers together, so that other work on the machine counts little;
    the peak is that of the largest process so far. `aims`: by step, shown beside it.
    """

    def __init__(self, title: str, aims: Mapping[str, str]) -> None:
        self.table = Table(title=title, title_justify="left")
        for column in ("step", "CPU", "wall", "peak memory", "aim"):
            self.table.add_column(column)
        self._aims = aims
        self._begun = self._last = _now()

    def done(self, step: str) -> None:
        """Add a row for what was done since the last one, and begin the next step."""
        self._add(step, self._last)
        self._last = _now()

    def total(self, step: str) -> None:
        """Add a row for all that was done since the beginning."""
        self._add(step, self._begun)

    def _add(self, step: str, since: tuple[float, float]) -> None:
        cpu, wall = (f"{after - before:.1f} s" for before, after in zip(since, _now(), strict=True))
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        self.table.add_row(step, cpu, wall, f"{peak / 2**20:.2f} GiB", self._aims.get(step, ""))
        print(f"{step}: {cpu} CPU, {wall} wall", file=sys.stderr, flush=True)


def _now() -> tuple[float, float]:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system, time.perf_counter()
