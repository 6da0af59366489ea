"""The results of a sweep: what became of each point, and the files that hold it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.limits import is_number, number_text, set_plain
from muxflow.dataflow.outputs import OutputFolder
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import cell, encoded

TABLE, ROWS = "results.csv", "results.json"
"""Files of the results in the folder of a sweep."""

Status = Literal["fitted", "refused", "crashed"]


@dataclass(frozen=True)
class Point:
    """One fit of a sweep.

    `model`: a file, or a preset's name (random weights of seed 0); `board`: a name or a board file; `lut`, `bram`: shares
    of the device, in (0, 1]; `clock_mhz`: the board's own when None. Raises UsageError for what is no finite number.
    """

    model: str
    board: str
    lut: float = 0.70
    bram: float = 0.90
    clock_mhz: float | None = None

    def __post_init__(self) -> None:
        set_plain(self, "lut", "bram", "clock_mhz")
        for name, value in (("lut", self.lut), ("bram", self.bram), ("clock_mhz", self.clock_mhz)):
            if value is not None and not is_number(value):
                raise UsageError(f"a sweep with {name} {number_text(value)}; give a finite number")


@dataclass(frozen=True)
class Outcome:
    """What became of a point.

    `status`: "fitted", "refused" (it cannot be done, `reason` says why), or "crashed" (the machine or Muxflow failed; tried
    again the next time).
    `interval`, `latency`: cycles, by cycle simulation where `simulated`, else estimates; resources: estimates,
    those in logic with the ends of their 80 % intervals, `lut_low` to `ff_high`; block RAM, UltraRAM and DSP have none.
    `parameter_bits`: stored weights and thresholds, each once; `saved_bits`: generated weights.
    """

    point: Point
    status: Status
    reason: str = ""
    clock_mhz: float = 0.0
    interval: int = 0
    frames_per_second: float = 0.0
    latency: int = 0
    latency_ms: float = 0.0
    lut: int = 0
    ff: int = 0
    bram18: int = 0
    dsp: int = 0
    uram: int = 0
    slowest: str = ""
    parameter_bits: int = 0
    saved_bits: int = 0
    simulated: bool = False
    lut_low: int = 0
    lut_high: int = 0
    ff_low: int = 0
    ff_high: int = 0


def check_results(place: OutputFolder, points: Sequence[Point]) -> None:
    """Raise MuxflowError where a sweep of these points would lose results in a folder: of other points, or no sweep's."""
    folder = place.path
    if place.force or (not (folder / TABLE).exists() and not (folder / ROWS).exists()):
        return
    remedy = "choose another folder, or replace it with --force"
    try:
        there = {from_json(Point, row["point"]) for row in read_json(folder / ROWS)}
    except (OSError, ValueError, KeyError, TypeError, MuxflowError):
        there = set()
    if not there:
        raise MuxflowError(f"{folder} holds a {TABLE} or {ROWS} of which no sweep can be told; {remedy}")
    if lost := there - set(points):
        one = min(lost, key=repr)
        raise MuxflowError(
            f"{folder} holds results of {counted(len(lost), 'point')} that this sweep has not, as {one.model} on "
            f"{one.board}; {remedy}"
        )


def write_results(place: OutputFolder, outcomes: Sequence[Outcome]) -> None:
    """Write `results.json`, by which a later sweep tells whose the results are, and `results.csv`, unless another's are lost."""
    rows = [asdict(outcome) for outcome in outcomes]
    contents = {
        ROWS: (json.dumps(rows, indent=2, allow_nan=False) + "\n").encode(),
        TABLE: encoded(to_csv(outcomes)),
    }
    place.write(contents, lambda: check_results(place, [outcome.point for outcome in outcomes]))


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """Write one row a point, the point's own fields first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    own = [f"given_{field.name}" for field in fields(Point)]
    rest = [field.name for field in fields(Outcome)][1:]
    writer.writerow([*own, *rest])
    for outcome in outcomes:
        point = asdict(outcome.point).values()
        row = [*("" if value is None else value for value in point), *(getattr(outcome, name) for name in rest)]
        writer.writerow(map(cell, row))
    return buffer.getvalue()
