"""What a training shows of its progress is no part of its result."""

import errno
import io
import sys

import pytest

from muxflow.frontend.training.progress import training_bars


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_standard_error_that_takes_nothing_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    with training_bars(True) as begin:
        told = begin("train", 3)
        told(1, 0.5)
