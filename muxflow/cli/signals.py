"""Signals that ask the process to end, as errors that clean up on their way."""

from __future__ import annotations

import signal
from types import FrameType


class Ended(KeyboardInterrupt):
    """The process is asked to end by a signal: like Ctrl-C it ends the tools that run and removes temporary folders."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heed_signals() -> None:
    """End as after Ctrl-C where a batch system or a terminal that goes away asks for it, unless the caller ignores that."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)
