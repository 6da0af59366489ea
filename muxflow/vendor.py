"""What the vendor's tools and the board said of a project, as stages of its report; nothing of it stops a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

from muxflow.board.bitstream.figures import FIGURES_FILE, Figures, synthesis_report
from muxflow.board.bitstream.toolchain import Form
from muxflow.board.bitstream.vendor_reports import (
    Cosimulated,
    PowerEstimate,
    Synthesised,
    Timing,
    read_cosimulation,
    read_synthesis,
    read_utilisation,
)
from muxflow.board.bitstream.vendor_tcl import hls_results
from muxflow.board.driver.results import MEASURED_FILE, Measurement
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.text import in_one_line, reason
from muxflow.hls.names import names_of
from muxflow.hls.vitis.writing import VECTOR_FRAMES
from muxflow.reports.schema.file import check_values
from muxflow.reports.schema.stages import (
    COSIMULATED,
    IMPLEMENTED,
    SYNTHESISED,
    SYSTEM,
    Measured,
    Power,
    Rung,
    Stage,
    State,
)

T = TypeVar("T")

COSIMULATION = "Vitis HLS co-simulation"
"""The rung of the proof ladder that the vendor's tool climbs."""
FORMS: tuple[Form, ...] = get_args(Form)
MOST_STYLES = 8
UNFINISHED = "read from the folder of a run that has not ended; not compared with the sources"


@dataclass(frozen=True)
class VendorFindings:
    """Stages, power and measurement of a project, where there are any, and the rung of a co-simulation that passed."""

    stages: tuple[Stage, ...] = ()
    power: Power | None = None
    measured: Measured | None = None
    rung: Rung | None = None


def vendor_findings(design: Design, path: Path, digest: str) -> VendorFindings:
    """Read what `muxflow bitstream` kept, or what a run that has not ended left, and what the driver recorded.

    `path`: of the project of a design; `digest`: of its sources.

    A file that cannot be read is a stage that has not run, with the reason.
    """
    measured = _measured(path, digest)
    folder = path / "bitstream"
    kept = folder / FIGURES_FILE
    if not kept.exists():
        return VendorFindings(_left_stages(design, folder), measured=measured)
    try:
        entry: dict[str, Any] = read_json(kept)
        known = {field.name for field in fields(Figures)}
        figures = from_json(Figures, {name: value for name, value in entry.items() if name in known})
        check_values({name: value for name, value in entry.items() if name != "timing"})
        current = entry["digest"] == digest
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MuxflowError) as error:
        fault = f"{kept}: not figures of Muxflow ({reason(error)}); run `muxflow bitstream` again"
        return VendorFindings(
            tuple(Stage(name, "not run", detail=fault) for name in (SYNTHESISED, IMPLEMENTED)), measured=measured
        )
    return replace(_findings(design, figures, "done" if current else "stale"), measured=measured)


def _findings(design: Design, figures: Figures, state: State) -> VendorFindings:
    power, rung = None, None
    if figures.power is not None:
        power = _power(figures.power, figures.vivado or "Vivado", state)
    if figures.cosimulated is not None and figures.cosimulated.passed:
        seen = f"every output word of the test bench, {figures.hls}"
        rung = Rung(COSIMULATION, "equal" if state == "done" else "stale", VECTOR_FRAMES, seen)
    return VendorFindings(stages_of(design, figures, state), power, rung=rung)


def stages_of(design: Design, figures: Figures, state: State = "done") -> tuple[Stage, ...]:
    """Make the stages of what the tools said."""
    vivado, found = figures.vivado or "Vivado", []
    if figures.synthesised is not None:
        found.append(_synthesised(figures.synthesised, figures.hls, state))
    if figures.cosimulated is not None:
        found.append(_cosimulated(figures.cosimulated, figures.hls, state))
    asked = 1e9 / figures.clock_hz if figures.clock_hz else 1000 / design.clock_mhz
    for name, used in ((IMPLEMENTED, figures.accelerator), (SYSTEM, figures.system)):
        if used is not None:
            found.append(_implemented(name, used, figures.timing, vivado, state, asked, design))
    return tuple(found)


def _synthesised(made: Synthesised, tool: str, state: State) -> Stage:
    return Stage(
        SYNTHESISED,
        state,
        tool,
        dict(made.resources.items()),
        made.interval,
        made.latency,
        made.estimated_ns,
        made.slack_ns,
        _styles(made),
    )


def _cosimulated(seen: Cosimulated, tool: str, state: State) -> Stage:
    interval, latency = (
        None if cycles is None else (cycles[0], cycles[-1]) for cycles in (seen.interval, seen.latency)
    )
    detail = "" if seen.passed else "did not pass: the RTL differs from the test bench's words"
    return Stage(COSIMULATED, state, tool, interval=interval, latency=latency, detail=detail)


def _implemented(
    name: str, used: Resources, timing: Timing | None, tool: str, state: State, asked: float, design: Design
) -> Stage:
    slack = None if timing is None else timing.setup_slack
    return Stage(
        name,
        state,
        tool,
        design.device.amounts(used),
        period_ns=None if slack is None else asked - slack,
        slack_ns=slack,
    )


def _styles(made: Synthesised) -> str:
    """Count the pipelines by style, as the tool names them: it knows three, and MOST_STYLES are listed."""
    counts = Counter(one.style or "style not given" for one in made.pipelines)
    listed = [f"{number} {in_one_line(style)}" for style, number in sorted(counts.items())[:MOST_STYLES]]
    return ", ".join(listed + ["..."] * (len(counts) > MOST_STYLES)) or "not given"


def _power(made: PowerEstimate, tool: str, state: State) -> Power:
    return Power(made.total, made.dynamic, made.static, made.confidence, tool, state)


def _left_stages(design: Design, folder: Path) -> tuple[Stage, ...]:
    """Read the reports of a run that has not come to its end, one by one."""
    top, made = names_of(design.folded).top, folder / "results"
    found: list[Stage] = []
    for place in dict.fromkeys(map(hls_results, FORMS)):
        results = folder / place
        found += _left(SYNTHESISED, synthesis_report(results, top), read_synthesis, _left_synthesis)
        cosimulation = results / "sim" / "report" / f"{top}_cosim.rpt"
        found += _left(COSIMULATED, cosimulation, read_cosimulation, lambda one: _cosimulated(one, "", "unfinished"))
    for name, file in ((IMPLEMENTED, "accelerator_utilization.rpt"), (SYSTEM, "utilization.rpt")):
        make = partial(_left_implementation, name, design)
        found += _left(name, made / file, read_utilisation, make)
    return tuple(found)


def _left_synthesis(made: Synthesised) -> Stage:
    return _synthesised(made, f"HLS {made.version}".strip(), "unfinished")


def _left_implementation(name: str, design: Design, used: Resources) -> Stage:
    return _implemented(name, used, None, "Vivado", "unfinished", 0, design)


def _left(name: str, file: Path, read: Callable[[Path], T], make: Callable[[T], Stage]) -> list[Stage]:
    """Give the stage of a report that is there; one that cannot be read has not run, with the reason."""
    if not file.is_file():
        return []
    try:
        return [replace(make(read(file)), detail=UNFINISHED)]
    except ToolError as error:
        return [Stage(name, "not run", detail=str(error))]


def _measured(path: Path, digest: str) -> Measured | None:
    """Read what the driver recorded, in the deploy folder or the project; None where there is none that can be read."""
    for folder in (path / "deploy", path):
        try:
            entry: dict[str, Any] = read_json(folder / MEASURED_FILE)
            state: State = "done" if entry.pop("digest") == digest else "stale"
            one = from_json(Measurement, entry)
            check_values(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, MuxflowError):
            continue
        if min(one.images, one.frames_per_second, one.packed_frames_per_second, one.one_image_latency_seconds) > 0:
            rates = (one.frames_per_second, one.packed_frames_per_second, one.one_image_latency_seconds)
            return Measured(one.measured_on, one.images, *rates, one.latency_cycles, one.clock_mhz, state)
    return None
