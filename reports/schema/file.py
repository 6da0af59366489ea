"""The file of a report: `report.json`, its versions, and what is checked when one is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.fit.device import check_clock
from muxflow.dataflow.graph.codec import from_json, to_json
from muxflow.dataflow.limits import LEAST_FIGURE, MOST_FIGURE
from muxflow.dataflow.text import json_text, plainly, shown
from muxflow.reports.schema.derived import derived
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import COSIMULATED, ESTIMATE, IMPLEMENTED, STAGES, SYNTHESISED, SYSTEM

VERSION = 2
"""Of the schema: 1 had no number, no layers' matrices, and its stages as a table of text."""
LONGEST_TEXT = 100_000
"""Characters of any text in a report: more than any name, tool or reason has (decision)."""
SIGNED = frozenset({"margins", "slack_ns"})
"""Entries whose numbers may be negative."""

DERIVED: Mapping[str, Callable[[Report], Any]] = {
    "parameter_bits": lambda report: report.parameter_bits,
    "saved_bits": lambda report: report.saved_bits,
    "weight_bits": lambda report: report.weight_bits[0],
    "uniform_weight_bits": lambda report: report.weight_bits[1],
    "microjoules": lambda report: round(report.microjoules, 6),
    "loaded_words": lambda report: report.memory_plan.loaded_words,
    "frames_per_second": lambda report: round(report.frames_per_second, 3),
    "latency_us": lambda report: round(report.latency_us, 3),
    "derived": lambda report: [
        {
            "name": one.name,
            "value": None if one.value is None else round(one.value, 6),
            "unit": one.unit,
            "is": one.what,
        }
        for one in derived(report)
    ],
    "figures": lambda report: f"resources and node cycles: estimate; interval, rate and latency: {report.interval_is}",
}
"""What a file holds beside the fields, for programs; a reader leaves it out."""


def to_entry(report: Report) -> dict[str, Any]:
    """Write a report as a JSON object: the schema's version, every field, what is derived."""
    entry: dict[str, Any] = to_json(report)
    return {"schema": VERSION, **entry, **{name: make(report) for name, make in DERIVED.items()}}


def to_text(report: Report) -> str:
    """Write a report as the text of `report.json`."""
    return json_text(to_entry(report))


def read_report(file: Path) -> Report:
    """Read a report that any version of Muxflow wrote; raises MuxflowError naming the file and what in it is wrong."""
    try:
        return from_entry(read_json(file))
    except (OSError, ValueError, MuxflowError) as error:
        raise MuxflowError(
            f"{file}: not a report of Muxflow ({plainly(error)}); `muxflow report PROJECT` writes one"
        ) from error


def from_entry(entry: Any) -> Report:
    """Read the object of a report's file; raises MuxflowError naming the field, what is there and what is expected.

    What is no field is left out: what is derived, and what a command's --json says beside the report.
    """
    if not isinstance(entry, dict):
        raise MuxflowError(f"{shown(entry)}; expected an object")
    version = entry.get("schema", 1)
    if type(version) is not int or not 1 <= version <= VERSION:
        raise MuxflowError(f"schema: {shown(version)}; this version of Muxflow reads 1 to {VERSION}")
    if version == 1:
        entry = _from_version_1(entry)
    kept = {field.name: entry[field.name] for field in fields(Report) if field.name in entry}
    check_values(kept)
    report = from_json(Report, kept)
    _check(report)
    return report


def _from_version_1(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Give a report of version 1 the form of the present one; of its stages the counts stay."""
    table = from_json(tuple[tuple[str, ...], ...], entry.get("stages", []), path="stages")
    names = {
        "estimate": ESTIMATE,
        "synthesised with ": SYNTHESISED,
        "co-simulated with ": COSIMULATED,
        "implemented with ": IMPLEMENTED,
    }
    stages: dict[str, dict[str, Any]] = {}
    for column, title in enumerate(table[0] if table else ()):
        start = next((start for start in names if title.startswith(start)), None)
        if start is None:
            continue
        tool, _, scope = title[len(start) :].partition(": ")
        counts = {row[0]: row[column].replace(",", "") for row in table[1:] if column < len(row)}
        used = {
            name: int(text) for name, text in counts.items() if name.isupper() or name == "BRAM18" if text.isdecimal()
        }
        name = SYSTEM if scope == "all" else names[start]
        stages[name] = {"name": name, "state": "done", "tool": tool, "used": used}
    return {**entry, "stages": [stages[name] for name in STAGES if name in stages]}


def check_values(value: Any, path: str = "") -> None:
    """Raise MuxflowError for a number in a JSON value that no count, share or time is, and for a text of many pages."""
    if isinstance(value, dict):
        for name, part in value.items():
            check_values(name, path)
            if name not in SIGNED:
                check_values(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            check_values(part, f"{path}.{index}")
    elif isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise MuxflowError(
            f"{path}: a text of {len(value):,} characters; expected at most {LONGEST_TEXT:,} (LONGEST_TEXT)"
        )
    elif (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value
        and not LEAST_FIGURE <= value <= MOST_FIGURE
    ):
        raise MuxflowError(f"{path}: {shown(value)}; expected 0, or a number from {LEAST_FIGURE:g} to {MOST_FIGURE}")


def _check(report: Report) -> None:
    """Raise MuxflowError naming what of a report contradicts itself."""
    check_clock(report.clock_mhz)
    for name in ("interval", "latency"):
        if getattr(report, name) < 1:
            raise MuxflowError(f"{name}: {getattr(report, name)}; expected cycles from 1")
    if report.interval < report.slowest_cycles:
        raise MuxflowError(
            f"interval: {report.interval} cycles, of which the slowest node takes {report.slowest_cycles}"
        )
    if any(point.interval < 1 for point in report.frontier):
        raise MuxflowError("frontier: a point of 0 cycles a frame; expected cycles from 1")
    if not report.nodes or not report.layers:
        raise MuxflowError("nodes, layers: empty; a design has some")
    for name in ("budget", "reserve"):
        if missing := set(report.used) - set(getattr(report, name)):
            raise MuxflowError(f"{name}: lacks {sorted(missing)[0]}, of which the design uses some")
    if missing := {"LUT", "FF", "BRAM18", "DSP"} - set(report.used):
        raise MuxflowError(f"used: lacks {sorted(missing)[0]}")
    known = {row.name for row in report.nodes}
    for layer in report.layers:
        if other := set(layer.nodes) - known:
            raise MuxflowError(f"layer {layer.name!r}: no node {sorted(other)[0]!r}")
        if layer.matrix is not None and not (layer.matrix.parallel and layer.matrix.initiation_interval):
            raise MuxflowError(f"layer {layer.name!r}: a matrix without products a cycle")
    accuracy = report.accuracy
    if accuracy is not None and not 0 <= accuracy.correct <= accuracy.images:
        raise MuxflowError(f"accuracy: {accuracy.correct} right of {accuracy.images}")
    for stage in report.stages:
        if stage.name not in STAGES:
            raise MuxflowError(f"stages: {stage.name!r}; supported: {', '.join(STAGES)}")
