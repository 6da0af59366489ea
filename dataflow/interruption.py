"""Signals that ask a process to end, held back for the moment in which files change places."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold signals that ask the process to end back until the block has ended; the first of them has its effect then.

    For short blocks that must not be left half-way. In another thread than the main one, which no signal interrupts, it
    does nothing; signals that are ignored stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    former: dict[signal.Signals, Any] = {}
    try:
        for number in HELD:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                former[number] = handler
                signal.signal(number, lambda met, _frame: came.append(met))
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if came:
            _deliver(came[0])


@contextmanager
def ended(make: Callable[[], T], end: Callable[[T], None]) -> Iterator[T]:
    """Make something that `end` ends with the block, though a signal comes while it is made or ended."""
    found: list[T] = []
    try:
        with undisturbed():
            found.append(make())
        yield found[0]
    finally:
        with undisturbed():
            for made in found:
                end(made)


def _deliver(number: int) -> None:
    """Give a signal to the handler that stands; one in Python is not told where: it is not put off again."""
    handler = signal.getsignal(number)
    if callable(handler):
        handler(number, None)
    else:
        signal.raise_signal(number)
