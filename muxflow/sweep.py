"""Sweeps: many models, boards, budgets and clocks, fitted side by side, one result table."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import product
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import NoReturn

import muxflow
from muxflow.board.board import find_board
from muxflow.dataflow.errors import MuxflowError, ToolError, UsageError, may_pass
from muxflow.dataflow.files import read_json
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.device import Device, Utilisation
from muxflow.dataflow.fit.timing import have_compiler
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.graph.file import read_graph, write_graph
from muxflow.dataflow.interruption import HELD, undisturbed
from muxflow.dataflow.outputs import OutputFolder
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.processes import GRACE_SECONDS
from muxflow.dataflow.space import if_full
from muxflow.dataflow.text import message, reason
from muxflow.hls.kernels import KERNELS
from muxflow.reports.schema.file import check_values
from muxflow.sweep_results import ROWS, TABLE, Outcome, Point, check_results, write_results

CONNECT_SECONDS = 10
SAFE_PATH = "PYTHONSAFEPATH"
DIED = "the worker process died (out of memory?); run this point alone with `muxflow fit`"


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
    `jobs`: local processes; `scheduler`: address of a Dask scheduler (tcp://host:port) whose workers have Muxflow.
    `force`: also where that loses what the folder holds of other points, or files of these names that were changed, or are
    somebody else's.
    `progress(outcome, done, all)` is called after each point.
    Raises MuxflowError for no points, or where `force` is needed, before any work and once more before the results are
    written; ToolError when the scheduler does not answer.
    """
    if not points:
        raise UsageError("a sweep of no points; give at least one model and one board")
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
        with _executor(min(jobs, len(waiting)), scheduler) as executor:
            _run(waiting, executor, kept, record)
        # A process that dies takes the others' results with it; alone, each point shows whether it was the one.
        for work in waiting:
            if work.point not in found:
                with _executor(1, scheduler) as executor:
                    _run([work], executor, kept, record)
                if work.point not in found:
                    record(Outcome(work.point, "crashed", DIED))
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


def _run(works: Sequence[_Work], executor: Executor, kept: OutputFolder, record: Callable[[Outcome], None]) -> None:
    with _held_back():
        futures: dict[Future[Outcome], _Work] = {executor.submit(_worked, fit_point, work): work for work in works}
    for future in as_completed(futures):
        work = futures[future]
        try:
            outcome = future.result()
        except BrokenProcessPool:
            continue
        except Exception as error:  # whatever a worker or the cluster raises concerns this point only
            outcome = Outcome(work.point, "crashed", f"{type(error).__name__}: {error}")
        if outcome.status != "crashed":
            kept.write({work.file: json.dumps(asdict(outcome), indent=2, allow_nan=False).encode() + b"\n"})
        record(outcome)


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold signals back from this process, and from those that it starts, until the block has ended."""
    with undisturbed():
        # For the processes that are started. In this one a signal finds its way: threads of libraries have no mask.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _worked(fit: Callable[[_Work], Outcome], work: _Work) -> Outcome:
    """Fit one point in a worker; a signal that asks it to end does so once what the point has begun is cleaned up."""
    with _quietly():
        return fit(work)


@contextmanager
def _quietly() -> Iterator[None]:
    """End a worker where the block is left by `SystemExit`, of which the executor would make a result or a message."""
    try:
        yield
    except SystemExit as asked:
        os._exit(asked.code if isinstance(asked.code, int) else 1)


def _begin_worker() -> None:
    """Let a worker end without a word where a signal asks for it, and where its parent is killed.

    The parent has held signals back up to here.
    """
    for number in HELD:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a hang-up under nohup
            signal.signal(number, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with _quietly():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def _end_with_parent() -> None:
    """Ask this process to end once its parent has: it would wait for work without end, with all that it has loaded."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # To the thread that waits for work: a wait is left only where the signal comes to it.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """End once; nothing comes between what cleans up."""
    for other in HELD:
        signal.signal(other, lambda _number, _frame: None)
    raise SystemExit(128 + number)


def _read(file: Path, point: Point) -> Outcome | None:
    """Read the outcome of an earlier run; None where there is none, or where its file is damaged."""
    try:
        entry = read_json(file)
        check_values(entry)
        return replace(from_json(Outcome, entry), point=point)
    except (OSError, ValueError, MuxflowError):
        return None


@contextmanager
def _safe_path() -> Iterator[None]:
    """Keep files of the current folder, such as `pickle.py`, from being run by a Python that is started meanwhile."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@contextmanager
def _executor(jobs: int, scheduler: str | None) -> Iterator[Executor]:
    if scheduler is None:
        # Spawned, not forked: the caller may have threads (torch) that a fork would leave locked.
        before = set(multiprocessing.active_children())
        spawned = multiprocessing.get_context("spawn")
        with _safe_path(), ProcessPoolExecutor(jobs, spawned, _begin_worker) as pool:
            try:
                yield pool
            except BaseException:
                # That ends what waits, too: the pool's thread fails at one that is cancelled. The pool waits for its thread
                # then: one that still ends while Python does writes to a pipe that is closed.
                _end_workers(set(multiprocessing.active_children()) - before)
                raise
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ToolError(
            f"the package distributed is not installed; --scheduler needs it: {install_extra('sweep')}"
        ) from None
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ToolError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler` and workers with "
            "`dask worker`, in an environment that has Muxflow"
        ) from None
    with client, client.get_executor() as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)  # Dask cancels what runs, too
            raise


def _end_workers(workers: Collection[BaseProcess]) -> None:
    """Ask workers to end, and kill those that have not after GRACE_SECONDS."""
    for worker in workers:
        worker.terminate()
    waited = {worker.sentinel: worker for worker in workers}
    until = time.monotonic() + GRACE_SECONDS
    while waited and (left := until - time.monotonic()) > 0:
        for ended in wait(list(waited), left):
            del waited[ended]  # type: ignore[arg-type]
    for worker in waited.values():
        worker.kill()
