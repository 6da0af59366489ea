"""Sweeps: many models, boards, budgets and clocks, fitted side by side, one result table."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import product
from numbers import Integral
from pathlib import Path

import muxflow
from muxflow.board.board import find_board
from muxflow.dataflow.errors import MuxflowError, UsageError, may_pass
from muxflow.dataflow.files import read_json
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.device import Device, Utilisation
from muxflow.dataflow.fit.timing import have_compiler
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.graph.file import read_graph, write_graph
from muxflow.dataflow.outputs import OutputFolder
from muxflow.dataflow.space import if_full
from muxflow.dataflow.text import message, reason, shown
from muxflow.hls.kernels import KERNELS
from muxflow.reports.schema.file import check_values
from muxflow.sweep_cluster import check_address, on_cluster
from muxflow.sweep_results import ROWS, TABLE, Outcome, Point, check_results, write_results
from muxflow.sweep_workers import REMEDY, in_processes


@dataclass(frozen=True)
class _Work:
    """All that a worker needs for a point, wherever it runs: the graph file's bytes, the device and the budget."""

    point: Point
    graph: bytes
    device: Device
    board: str
    clock_mhz: float
    utilisation: Utilisation

    @property
    def key(self) -> str:
        """Hash everything that the result depends on."""
        entry = {
            "device": asdict(self.device),
            "board": self.board,
            "utilisation": asdict(self.utilisation),
            "clock_mhz": self.clock_mhz,
            "version": muxflow.__version__,
            "simulated": have_compiler(),
            "figures": [field.name for field in fields(Outcome)],
        }
        text = json.dumps(entry, sort_keys=True).encode()
        return hashlib.sha256(text + b"\0" + self.graph).hexdigest()[:24]

    @cached_property
    def file(self) -> str:
        """Where in the folder of a sweep the result is kept."""
        return f"points/{self.key}.json"


def plan(
    models: Sequence[str],
    boards: Sequence[str],
    lut: Sequence[float] = (0.70,),
    bram: Sequence[float] = (0.90,),
    clocks_mhz: Sequence[float | None] = (None,),
) -> tuple[Point, ...]:
    """List every combination, models outermost, clocks innermost; repeated points once."""
    return tuple(dict.fromkeys(Point(*choice) for choice in product(models, boards, lut, bram, clocks_mhz)))


def run_sweep(
    points: Sequence[Point],
    folder: Path,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    force: bool = False,
    progress: Callable[[Outcome, int, int], None] | None = None,
    remark: Callable[[str], object] | None = None,
) -> tuple[Outcome, ...]:
    """Fit every point and write `results.csv` and `results.json` into `folder`, in the order of the points.

    Each result is kept in `folder/points` as soon as it is there, so that a sweep that was interrupted goes on where it
    stopped; a point is fitted again when its model, device, budget, clock or Muxflow's version has changed, or what was kept
    of it is not as Muxflow wrote it, which `remark(text)` is told. A point that
    cannot be fitted is recorded with its reason and the rest goes on. So is one at which the machine fails, a compiler, the
    disk or the memory; that says nothing of the point, is not kept, and is tried again the next time.
    `jobs`: local processes; `scheduler`: address of a Dask scheduler (tcp://host:port, or tls:// with the certificates of
    Dask's own configuration) whose workers have Muxflow.
    `force`: also where that loses what the folder holds of other points, or files of these names that were changed, or are
    somebody else's.
    `progress(outcome, done, all)` is called after each point.
    Raises MuxflowError for no points, or where `force` is needed, before any work and once more before the results are
    written; UsageError for a scheduler of another form; ToolError when it does not answer, or no process can be started.
    """
    if not points:
        raise UsageError("a sweep of no points; give at least one model and one board")
    if not isinstance(jobs, Integral) or isinstance(jobs, bool) or jobs < 1:
        raise UsageError(f"a sweep with jobs {shown(jobs)}; expected a number of processes, from 1")
    if scheduler is not None:
        check_address(scheduler)
    read = {Path(name) for point in points for name in (point.model, point.board) if names_file(name)}
    place = OutputFolder(folder, tuple(sorted(read)), force=force)
    place.check(TABLE, ROWS)
    check_results(place, points)
    kept = replace(place, force=True)  # whoever changed a result that is kept is told
    kept.check("points/file")
    found: dict[Point, Outcome] = {}

    def record(outcome: Outcome) -> None:
        found[outcome.point] = outcome
        if progress:
            progress(outcome, len(found), len(points))

    with scratch_folder() as scratch:
        graphs = {model: _graph(model, scratch) for model in dict.fromkeys(point.model for point in points)}
    works = [_work(point, graphs[point.model]) for point in points]
    files = [work.file for work in works if isinstance(work, _Work)]
    kept.check(*files)
    changed = set(kept.changed(*files))
    if changed and remark:
        remark(
            f"{folder / min(changed)}{f' and {len(changed) - 1} more' if len(changed) > 1 else ''}: not as Muxflow wrote it; "
            "fitted again"
        )
    waiting: list[_Work] = []
    for work in works:
        if isinstance(work, Outcome):
            record(work)
        elif work.file not in changed and (known := _read(folder / work.file, work.point)) is not None:
            record(known)
        else:
            waiting.append(work)
    if waiting:
        _run(waiting, jobs, scheduler, kept, record)
    outcomes = tuple(found[point] for point in points)
    write_results(place, outcomes)
    return outcomes


def names_file(name: str) -> bool:
    """Tell whether a model or board is given as a file: the name of one that Muxflow has is one word, whatever folder is here."""
    path = Path(name)
    return bool(path.suffix) or os.sep in name or (path.exists() and not path.is_dir())


def _graph(model: str, scratch: Path) -> bytes | Exception:
    """Read the bytes of the model's integer graph, or give the error that says why there is none."""
    try:
        path = Path(model)
        if not names_file(model):
            from muxflow.frontend.training.presets import export_untrained

            path = export_untrained(model, scratch / f"{model}.onnx")
        file = scratch / "graph.npz"
        write_graph(muxflow.load(path), file)
        return file.read_bytes()
    except (MuxflowError, OSError, MemoryError) as error:
        return error


def _failed(point: Point, error: Exception, clock_mhz: float = 0.0) -> Outcome:
    """Say why a point has no fit; a fault of the machine, which says nothing of the point, is no refusal."""
    said = str(error) if isinstance(error, MuxflowError) else message(reason(error) + if_full(str(error), "; "))
    if os.strerror(errno.EAGAIN) in said:  # also of a compiler, which starts processes of its own
        said += f"; {REMEDY}"
    return Outcome(point, "crashed" if may_pass(error) else "refused", said, clock_mhz)


def _work(point: Point, graph: bytes | Exception) -> _Work | Outcome:
    if isinstance(graph, Exception):
        return _failed(point, graph)
    try:
        board = find_board(point.board)
        clock = board.clock_mhz if point.clock_mhz is None else point.clock_mhz
        utilisation = Utilisation(point.lut, point.lut, point.bram, point.bram, point.bram)
    except MuxflowError as error:
        return _failed(point, error)
    return _Work(point, graph, board.device, board.name, clock, utilisation)


def fit_point(work: _Work) -> Outcome:
    """Fit one point; runs in a worker."""
    try:
        with scratch_folder() as scratch:
            file = scratch / "graph.npz"
            file.write_bytes(work.graph)
            graph = read_graph(file)
        design = folding.fit(
            graph,
            KERNELS,
            device=work.device,
            board=work.board,
            clock_mhz=work.clock_mhz,
            utilisation=work.utilisation,
            simulated=have_compiler(),
        )
    except (MuxflowError, OSError, MemoryError) as error:
        return _failed(work.point, error, work.clock_mhz)
    used = design.resources
    low, high = used.quantile(0.1), used.quantile(0.9)
    return Outcome(
        work.point,
        "fitted",
        "",
        work.clock_mhz,
        design.interval,
        round(design.frames_per_second, 3),
        design.latency,
        round(1e3 * design.latency_seconds, 6),
        used.lut,
        used.ff,
        used.bram18,
        used.dsp,
        used.uram,
        design.bottleneck.name,
        design.stored_parameter_bits,
        design.saved_bits,
        design.timing is not None,
        low.lut,
        high.lut,
        low.ff,
        high.ff,
    )


def _run(
    works: Sequence[_Work],
    jobs: int,
    scheduler: str | None,
    kept: OutputFolder,
    record: Callable[[Outcome], None],
) -> None:
    """Fit points in local processes or on a cluster, and keep what became of each, unless it may be otherwise next time."""

    def fitted(work: _Work, said: Outcome | str) -> None:
        outcome = Outcome(work.point, "crashed", message(said)) if isinstance(said, str) else said
        if outcome.status != "crashed":
            kept.write({work.file: json.dumps(asdict(outcome), indent=2, allow_nan=False).encode() + b"\n"})
        record(outcome)

    if scheduler is None:
        in_processes(fit_point, works, jobs, fitted)
    else:
        on_cluster(fit_point, works, scheduler, fitted)


def _read(file: Path, point: Point) -> Outcome | None:
    """Read the outcome of an earlier run; None where there is none, or where its file is damaged."""
    try:
        entry = read_json(file)
        check_values(entry)
        return replace(from_json(Outcome, entry), point=point)
    except (OSError, ValueError, MuxflowError):
        return None
