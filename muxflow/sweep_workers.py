"""Where a sweep fits its points on this machine: processes, told over pipes; no thread or semaphore is needed for them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.interruption import HELD, undisturbed
from muxflow.dataflow.processes import GRACE_SECONDS
from muxflow.dataflow.space import FULL
from muxflow.dataflow.text import reason

Work = TypeVar("Work")
Result = TypeVar("Result")

REMEDY = "use fewer --jobs, or raise the limit of processes (ulimit -u)"


@dataclass(eq=False)
class _Worker(Generic[Work]):
    """A process, and what it was told to do, None until it says that it has begun; at its end the connection is closed."""

    process: BaseProcess
    connection: Connection
    work: Work | None = None


def in_processes(
    fit: Callable[[Work], Result], works: Sequence[Work], jobs: int, record: Callable[[Work, Result | str], object]
) -> None:
    """Call `fit` with each work in one of `jobs` processes; `record` gets what it gives, or a text that says what it raised.

    A process that dies takes only its own work with it; that is tried once more, alone, for want of memory perhaps.
    Raises ToolError where a process cannot be started.
    """
    for lost, _ in _done(fit, works, min(jobs, len(works)), record):
        for again, code in _done(fit, [lost], 1, record):
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            memory = ", out of memory?" if code == -signal.SIGKILL else ""
            record(again, f"the worker process died ({how}{memory}); run this point alone with `muxflow fit`")


def _done(
    fit: Callable[[Work], Result], works: Sequence[Work], jobs: int, record: Callable[[Work, Result | str], object]
) -> list[tuple[Work, int]]:
    """Do all works, and list those whose process died, with its exit code."""
    waiting = deque(works)
    lost: list[tuple[Work, int]] = []
    workers: list[_Worker[Work]] = []
    try:
        _start(workers, jobs)
        while busy := {worker.connection: worker for worker in workers if not worker.connection.closed}:
            for ready in wait(list(busy)):
                worker = next(one for connection, one in busy.items() if connection is ready)
                try:
                    said = worker.connection.recv()
                except (EOFError, OSError):
                    worker.connection.close()
                    lost.append((_lost(worker), worker.process.exitcode or 0))
                    if waiting:
                        _start(workers, 1)
                    continue
                if worker.work is not None:
                    record(worker.work, said)
                if not waiting:
                    worker.connection.close()
                    continue
                worker.work = waiting.popleft()
                with suppress(OSError):  # of a process that has died, which is seen next
                    worker.connection.send((fit, worker.work))
        for worker in workers:
            worker.process.join()
    except BaseException:
        _end([worker.process for worker in workers])
        raise
    return lost


def _lost(worker: _Worker[Work]) -> Work:
    """Give the work that a process which has died had; raises ToolError where it had not begun to work."""
    worker.process.join()
    if worker.work is None:
        code = worker.process.exitcode
        script = (
            'a script needs a file of its own, and `if __name__ == "__main__":` before it sweeps; else '
            if code == 1
            else ""
        )
        raise ToolError(
            f"a worker process of the sweep ended before it began to work (exit code {code}); {script}{REMEDY}"
        )
    return worker.work


def _start(workers: list[_Worker[Work]], count: int) -> None:
    """Start so many processes more; they are spawned, not forked: threads of the caller (torch) would be left locked.

    Raises ToolError where the machine refuses one, OSError where files are what it lacks.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with _environment():
            # Python's own helper of spawned processes. It lets signals through where it is started, so before they are held.
            resource_tracker.ensure_running()
            with _held_back():
                for _ in range(count):
                    ours, theirs = context.Pipe()
                    with theirs:
                        process = context.Process(target=_serve, args=(theirs,))
                        process.start()
                    workers.append(_Worker(process, ours))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, *FULL):  # Python first writes what its outputs hold
            raise
        raise ToolError(
            f"of the sweep's worker processes only {len(workers)} could be started ({reason(error)}); {REMEDY}"
        ) from error


@contextmanager
def _environment() -> Iterator[None]:
    """Keep files of the current folder, such as `pickle.py`, from being run by a Python that is started meanwhile.

    Its library of matrices starts no threads, unless the user says how many: there are as many processes as wished.
    """
    given = {"PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1")}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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


def _end(processes: Collection[BaseProcess]) -> None:
    """Ask processes to end, and kill those that have not after GRACE_SECONDS."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    for process in processes:
        process.kill()


def _serve(connection: Connection) -> None:
    """Do what comes over a connection, in a worker, until that is closed."""
    _begin()
    with _quietly(), suppress(EOFError, OSError):
        connection.send(None)
        while True:
            connection.send(_result(connection))


def _result(connection: Connection) -> Any:
    """Do what comes next, and give what it gives, or a text that says what it raised."""
    try:
        fit, work = connection.recv()
    except (EOFError, OSError):
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    try:
        return fit(work)
    except Exception as error:  # it concerns this work only
        return f"{type(error).__name__}: {error}"


@contextmanager
def _quietly() -> Iterator[None]:
    """End a worker where the block is left by `SystemExit`, once what it has begun is cleaned up, without a word of Python's."""
    try:
        yield
    except SystemExit as asked:
        os._exit(asked.code if isinstance(asked.code, int) else 1)


def _begin() -> None:
    """Let a worker end without a word where a signal asks for it, and where its parent is killed.

    The parent has held signals back up to here.
    """
    for number in HELD:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a hang-up under nohup
            signal.signal(number, _leave)
    with suppress(RuntimeError):  # at the limit of threads; without this one it ends once its point is done
        threading.Thread(target=_end_with_parent, daemon=True).start()
    with _quietly():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def _end_with_parent() -> None:
    """Ask this process to end once its parent has: it would finish its point for nobody."""
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
