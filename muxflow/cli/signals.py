"""Signals that ask the process to end, as errors that clean up on their way."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

from muxflow.dataflow import interruption as holding

SOON = 0.01
"""Seconds after which a signal that came where nothing can be interrupted comes again."""
LOST = 1.0
"""Seconds after which a signal comes again where somebody has caught what it raised, and goes on."""

_raised: list[KeyboardInterrupt] = []
"""What signals have raised since they are heeded, the latest last."""
_met: list[int] = []
"""The signals that came since then, the first one first: it is what the process ends by."""


class Ended(KeyboardInterrupt):
    """The process is asked to end by a signal: like Ctrl-C it ends the tools that run and removes temporary folders."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heed_signals() -> None:
    """End as after Ctrl-C where a batch system or a terminal that goes away asks for it, unless the caller ignores that.

    How a tool ends is learned in any case: a caller that ignores its own children says nothing of those.
    """
    _raised.clear()
    _met.clear()
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _come_again
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in holding.HELD:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def leave_signals() -> None:
    """Let signals end the process at once, when there is nothing left to clean up.

    Where one has ended the command the process ends by that one: a later one is ignored.
    """
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in holding.HELD:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_IGN if _met else signal.SIG_DFL)
    _raised.clear()
    _met.clear()


def signal_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Find the signal after which a command fails; None where none came.

    Where a library catches what a signal raises, the parts that it has not loaded fail later, with errors of their own.
    """
    return interruption(error) or (_raised[-1] if _raised else None)


def heed_lost() -> None:
    """Raise a signal again where somebody has caught what it raised: what asked for the end gets no answer."""
    if _raised:
        raise _raised[-1]


def interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Find the signal that an error comes from: what is interrupted may raise an error of its own; None where it was none."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _end(number: int, frame: FrameType | None) -> None:
    """Interrupt what runs, once: a terminal that closes sends two signals, and nothing comes between what cleans up.

    The import of a large package may catch anything and go on, so the signal comes again until the process ends. A later one
    comes as the first one did.
    """
    _met.append(number)
    number = _met[0]
    if interruption(sys.exc_info()[1]) is None and _opens(frame):
        _again_soon(number)
        return
    _again_soon(number, LOST)
    if interruption(sys.exc_info()[1]) is not None:
        return
    _raised.append(KeyboardInterrupt() if number == signal.SIGINT else Ended(number))
    raise _raised[-1]


def _opens(frame: FrameType | None) -> bool:
    """Tell whether a block is about to be entered or left: interrupted there, what it opened is never closed.

    So is the lock that Python takes to ask for the state of a process: interrupted there, it waits for itself later.
    """
    if frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file == contextlib.__file__ or (file, name) == (subprocess.__file__, "_internal_poll"):
            return True
    while frame is not None and frame.f_code.co_filename != holding.__file__:
        frame = frame.f_back
    return frame is not None


def _come_again(lost: Any) -> None:
    """Let a signal come again that came while Python called a destructor, which drops it."""
    error = lost.exc_value
    if not isinstance(error, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    _again_soon(error.number if isinstance(error, Ended) else signal.SIGINT)


def _again_soon(number: int, seconds: float = SOON) -> None:
    """Let the handler that stands then meet a signal once more."""

    def again(_alarm: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(number)
        if number in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            signal.raise_signal(number)  # waits until it is let through
        elif callable(handler):
            handler(number, frame)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, seconds)
