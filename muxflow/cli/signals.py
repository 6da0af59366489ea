"""Signals that ask the process to end, as errors that clean up on their way."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOON = 0.01
"""Seconds after which a signal that came where nothing can be interrupted comes again."""


class Ended(KeyboardInterrupt):
    """The process is asked to end by a signal: like Ctrl-C it ends the tools that run and removes temporary folders."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heed_signals() -> None:
    """End as after Ctrl-C where a batch system or a terminal that goes away asks for it, unless the caller ignores that."""
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _come_again
    for number in HEEDED:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def leave_signals() -> None:
    """Let signals end the process at once, when there is nothing left to clean up."""
    for number in HEEDED:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)


def interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Find the signal that an error comes from: what is interrupted may raise an error of its own; None where it was none."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error


def _end(number: int, _frame: FrameType | None) -> None:
    """Interrupt what runs, once: a terminal that closes sends two signals, and nothing comes between what cleans up."""
    if interruption(sys.exc_info()[1]) is None:
        raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)


def _come_again(lost: Any) -> None:
    """Let a signal come again that came while Python called a destructor, which drops it."""
    error = lost.exc_value
    if not isinstance(error, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    number = error.number if isinstance(error, Ended) else signal.SIGINT
    signal.signal(signal.SIGALRM, lambda _number, _frame: _end(number, None))
    signal.setitimer(signal.ITIMER_REAL, SOON)
