"""A signal at every moment at which Python lets one come: what a block opened goes, and no process is left."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from muxflow.cli import signals
from muxflow.dataflow.folders import held_folder, scratch_folder, whole_folder
from muxflow.dataflow.interruption import HELD
from muxflow.dataflow.processes import running


def with_a_scratch_folder(folder: Path) -> None:
    with scratch_folder(folder) as scratch:
        (scratch / "part").write_text("1")


def with_a_held_folder(folder: Path) -> None:
    with held_folder(folder, ".run.") as scratch:
        (scratch / "part").write_text("1")


def with_a_rebuilt_folder(folder: Path) -> None:
    with whole_folder(folder / "p") as fresh:
        (fresh / "ours").write_text("1")
    (folder / "p" / "ours").unlink()
    (folder / "p" / ".muxflow.json").unlink()
    (folder / "p").rmdir()


def with_a_tool(folder: Path) -> None:
    with scratch_folder(folder), running(["sleep", "60"]) as process:
        process.poll()


@pytest.fixture(autouse=True)
def heeded():
    former = {number: signal.getsignal(number) for number in HELD}
    for number in HELD:
        signal.signal(number, signals._end)
    yield
    for number, handler in former.items():
        signal.signal(number, handler)
    signals._raised.clear()
    signals._met.clear()


def interrupted_at(moment: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, int]:
    """Run with a signal at the moment of that number, and again at the next where it is put off; (whether it came, moments)."""
    due, count = [moment], [0]
    monkeypatch.setattr(
        signals,
        "_again_soon",
        lambda _number, seconds=signals.SOON: seconds == signals.SOON and due.append(count[0] + 1),
    )

    def watch(frame: FrameType, event: str, _argument: Any) -> None:
        # Where a function begins, and where one in C has returned, Python looks whether a signal came.
        if event not in ("call", "c_return"):
            return
        count[0] += 1
        if count[0] == due[-1]:
            handler = signal.getsignal(signal.SIGTERM)
            assert callable(handler)
            handler(signal.SIGTERM, frame)

    try:
        sys.setprofile(watch)
        try:
            act()
        finally:
            sys.setprofile(None)
    except signals.Ended:
        return True, count[0]
    return False, count[0]


def test_of_two_signals_the_first_one_counts() -> None:
    """Though a library has caught what it raised, and while the interpreter ends."""
    for _ in range(2):
        with pytest.raises(signals.Ended) as raised:
            signals._end(signal.SIGINT if signals._met else signal.SIGTERM, None)
        assert raised.value.number == signal.SIGTERM
    signals.leave_signals()
    assert [signal.getsignal(number) for number in HELD] == [signal.SIG_IGN] * len(HELD)
    for number in HELD:
        signal.signal(number, signals._end)
    signals.leave_signals()
    assert [signal.getsignal(number) for number in HELD] == [signal.SIG_DFL] * len(HELD)


def test_how_tools_end_is_learned_though_the_caller_ignores_its_children() -> None:
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        signals.heed_signals()
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGCHLD, former)


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


# A file that is open where the signal comes is closed by Python itself.
@pytest.mark.filterwarnings("ignore:unclosed file", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("act", [with_a_scratch_folder, with_a_held_folder, with_a_rebuilt_folder, with_a_tool])
def test_a_signal_at_any_moment_leaves_nothing(
    act: Callable[[Path], None], stride: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    _, moments = interrupted_at(0, lambda: act(tmp_path), monkeypatch)
    assert moments > 20
    came = 0
    for moment in range(1, moments, stride):
        interrupted, _ = interrupted_at(moment, lambda: act(tmp_path), monkeypatch)
        came += interrupted
        left = [path for path in tmp_path.rglob("*") if act is not with_a_rebuilt_folder or path.name[:3] == ".p."]
        assert not left, (moment, left)
        assert children() == before, moment
    assert came > moments / stride / 2
