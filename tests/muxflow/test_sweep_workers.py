"""Where a sweep works: processes at the limits of a machine, and addresses at which there is no Dask scheduler."""

import errno
import importlib
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from distributed import LocalCluster

from muxflow import sweep_cluster, sweep_workers
from muxflow.dataflow.errors import ToolError, UsageError
from muxflow.sweep import plan, run_sweep
from muxflow.sweep_cluster import check_address, on_cluster
from muxflow.sweep_workers import in_processes

ODD = """
import os, threading

def double(work):
    return 2 * work

def die_of_three(work):
    if work == 3:
        os._exit(9)
    return work

def killed(work):
    os.kill(os.getpid(), 9)

def environment(work):
    return {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "OPENBLAS_NUM_THREADS")}

class Unread:
    def __reduce__(self):
        return unreadable, ()

def unreadable():
    raise MemoryError("no room for it")
"""
AGAIN = BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Functions that processes of a sweep can import, which those of a test module are not."""
    (tmp_path / "odd_works.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("odd_works")
    del sys.modules["odd_works"]


def done(fit: Callable[[Any], Any], works: list[Any], jobs: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}

    def record(work: Any, said: Any) -> None:
        assert work not in found
        found[work] = said

    in_processes(fit, works, jobs, record)
    return found


def test_every_work_is_done_once_and_nothing_is_left(odd: ModuleType) -> None:
    threads = set(threading.enumerate())
    assert done(odd.double, list(range(9)), 3) == {work: 2 * work for work in range(9)}
    assert not multiprocessing.active_children() and set(threading.enumerate()) <= threads


def test_a_process_that_dies_is_said_with_its_code_and_costs_no_other_work(odd: ModuleType) -> None:
    found = done(odd.die_of_three, list(range(6)), 1)
    died = found.pop(3)
    assert found == {work: work for work in (0, 1, 2, 4, 5)}
    assert died == "the worker process died (exit code 9); run this point alone with `muxflow fit`"
    assert "(signal 9, out of memory?)" in done(odd.killed, [1], 1)[1]


def test_what_a_process_cannot_read_is_a_fault_of_that_work(odd: ModuleType) -> None:
    unread = odd.Unread()
    assert done(odd.double, [unread, 4], 1) == {unread: "MemoryError: no room for it", 4: 8}


def test_processes_get_by_without_semaphores(odd: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """They live in /dev/shm, which may be absent, full or read-only."""

    def refused(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refused)
    assert done(odd.double, [1, 2], 2) == {1: 2, 2: 4}


def test_processes_get_by_without_threads_of_the_sweep(odd: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of a user's processes none can be started; a pool of Python's waits without end then."""

    def refused(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert done(odd.double, [1, 2], 2) == {1: 2, 2: 4}


def test_a_worker_gets_by_without_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    monkeypatch.setattr(sweep_workers, "HELD", ())  # this process keeps what it does at a signal
    ours, theirs = multiprocessing.Pipe()
    ours.send((abs, -3))
    with socket.socket(fileno=os.dup(ours.fileno())) as end:
        end.shutdown(socket.SHUT_WR)
    sweep_workers._serve(theirs)
    assert [ours.recv(), ours.recv()] == [None, 3]


@pytest.mark.parametrize("refused", [0, 2])
def test_a_process_that_cannot_be_started_is_said(
    odd: ModuleType, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    start, begun = util.spawnv_passfds, []

    def limited(path: Any, arguments: Any, descriptors: Any) -> Any:
        if "--multiprocessing-fork" in arguments:
            if len(begun) == refused:
                raise AGAIN
            begun.append(arguments)
        return start(path, arguments, descriptors)

    monkeypatch.setattr(util, "spawnv_passfds", limited)
    with pytest.raises(ToolError) as met:
        done(odd.double, list(range(9)), 4)
    said = f"only {refused} could be started (Resource temporarily unavailable); use fewer --jobs, or raise the limit"
    assert said in str(met.value) and not multiprocessing.active_children()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC])
def test_a_lack_of_files_is_not_called_one_of_processes(
    odd: ModuleType, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(util, "spawnv_passfds", refused)
    with pytest.raises(OSError, match=os.strerror(number)):
        done(odd.double, [1], 1)


def test_a_process_that_ends_before_it_has_begun_is_said(odd: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_workers, "_serve", odd.killed)
    with pytest.raises(ToolError, match=r"ended before it began to work \(exit code -9\); use fewer --jobs"):
        done(odd.double, [1, 2], 2)


def test_the_environment_of_workers(odd: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert done(odd.environment, [1], 1) == {1: {"PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1"}}
    assert os.environ["PYTHONSAFEPATH"] == "" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_a_point_says_what_to_do_at_the_limit_of_processes(
    tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muxflow import sweep
    from muxflow.dataflow.fit import folding

    def refused(*_: Any, **__: Any) -> None:
        raise AGAIN

    monkeypatch.setattr(folding, "fit", refused)
    found = sweep.fit_point(sweep._work(plan([small], ["pynq-z2"])[0], sweep._graph(small, tmp_path)))
    assert found.status == "crashed"
    assert found.reason == f"{os.strerror(errno.EAGAIN)}; {sweep_workers.REMEDY}"


BAD = (
    *("foo", "", "tcp://", "tcp://localhost", "localhost:8786", "tcp://:8786", "tcp://host:", "tcp://host:0"),
    *("tcp://host:65536", "tcp://a b:8786", "tcp://host:8786/x", "tcp://host:8786\n", "tcp://::1:8786"),
    *("inproc://", "inproc://10.0.0.1/2/3", "file:///x", "ucx://1", "ucx://host:8786", "http://host:8787", 8786),
)


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_address_is_refused_before_any_work(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError, match=r"is no address of a Dask scheduler; use tcp://host:port"):
        run_sweep(plan(["absent.npz"], ["pynq-z2"]), tmp_path / "out", scheduler=address)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "2"])
def test_what_is_no_number_of_processes_is_refused(tmp_path: Path, jobs: Any) -> None:
    with pytest.raises(UsageError, match="expected a number of processes, from 1"):
        run_sweep(plan(["absent.npz"], ["pynq-z2"]), tmp_path / "out", jobs=jobs)


def test_addresses() -> None:
    for address in ("tcp://localhost:8786", "tcp://10.0.0.1:1", "tls://a-b.example:65535", "tcp://[fe80::1%eth0]:8786"):
        check_address(address)


def test_the_command_refuses_an_address_first(call_muxflow: Any, small: str, tmp_path: Path) -> None:
    code, said, error = call_muxflow("sweep", small, "-o", tmp_path / "out", "--scheduler", "ucx://1")
    assert (code, said) == (2, "") and "is no address of a Dask scheduler" in error and "sweep of" not in error


@pytest.fixture
def small(tmp_path: Path) -> str:
    import networks

    from muxflow.dataflow.graph.file import write_graph

    write_graph(networks.fusion(), tmp_path / "small.npz")
    return str(tmp_path / "small.npz")


@pytest.fixture
def answers() -> Iterator[Callable[[bytes | None], str]]:
    """Give the address of a server that says this to whoever comes, or only listens."""
    listening: list[socket.socket] = []
    held: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(said: bytes | None) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    held.append(client)
                    if said is not None:
                        client.sendall(said)
                        client.shutdown(socket.SHUT_WR)

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"

    yield serve
    for one in listening:
        one.shutdown(socket.SHUT_RDWR)  # ends what waits for a client
    for thread in threads:
        thread.join()
    for one in (*listening, *held):
        one.close()


@pytest.mark.parametrize("said", [None, b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", b"\0rubbish" * 40])
def test_what_answers_and_is_no_scheduler_is_said(
    answers: Callable[[bytes | None], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    said: bytes | None,
) -> None:
    monkeypatch.setattr(sweep_cluster, "CONNECT_SECONDS", 1)
    address, began = answers(said), time.monotonic()
    with pytest.raises(ToolError) as error:
        on_cluster(abs, [1], address, lambda *_: None)
    assert time.monotonic() - began < 30  # it waited without end, or 20 s
    text = str(error.value)
    assert text.startswith(f"no Dask scheduler answers at {address} (something does, but says nothing that Dask says);")
    assert (
        "start one with `dask scheduler`, whose port is 8786 (8787 is its dashboard's)" in text
        and capfd.readouterr() == ("", "")
    )


def test_nobody_is_at_an_address(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sweep_cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(ToolError, match=r"at tcp://127\.0\.0\.1:9 \(Connection refused\); start one"):
        on_cluster(abs, [1], "tcp://127.0.0.1:9", lambda *_: None)
    with pytest.raises(ToolError, match=r"names no certificates; it does in distributed\.comm\.tls"):
        on_cluster(abs, [1], "tls://127.0.0.1:9", lambda *_: None)
    assert capfd.readouterr() == ("", "")


def test_a_worker_of_dask_is_no_scheduler(odd: ModuleType) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as there:
        (worker,) = there.workers.values()
        with pytest.raises(ToolError, match="is a Dask Worker, no scheduler; give the address"):
            on_cluster(odd.double, [1], worker.address, lambda *_: None)
        found: dict[int, Any] = {}
        on_cluster(odd.double, [1, "a", None], there.scheduler_address, found.__setitem__)
    assert found[1] == 2 and found["a"] == "aa" and found[None].startswith("TypeError: unsupported operand")
