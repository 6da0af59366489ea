"""Faults of the machine that a library meets while it reads or computes something: they say nothing about what it was given."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from muxflow.dataflow.errors import MachineFault, MuxflowError, may_pass
from muxflow.dataflow.space import FULL
from muxflow.dataflow.text import in_one_line, reason

OF_MACHINE = frozenset(
    (
        *FULL,
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENXIO, errno.ENODEV),
        *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOLCK),
    )
)
"""What the system says that is no fault of a file's contents; of others, as an invalid offset, a damaged file is the cause."""
NO_MEMORY = re.compile(
    r"std::bad_alloc|OOM when allocating|\b(not enough|out of|cannot allocate) memory\b|can't allocate memory"
    r"|\b(unable|failed) to (mmap|allocate) |failed to map segment|MemoryError\b",
    re.IGNORECASE,
)
"""What libraries say, in errors of their own kinds, where no memory is left: torch, ONNX Runtime, TensorFlow, HDF5."""
READABLE, FILES = "make it readable, then start again", "raise the limit of open files (ulimit -n)"
REMEDIES = {errno.EACCES: READABLE, errno.EPERM: READABLE, errno.EMFILE: FILES, errno.ENFILE: FILES}
MEMORY_REMEDY = "free memory, or raise the limit (ulimit -v)"


def is_of_memory(error: BaseException) -> bool:
    """Tell whether an error, of any library, or one that it came of, says that no memory is left."""
    return any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        or (not isinstance(one, MuxflowError) and NO_MEMORY.search(str(one)) is not None)
        for one in _causes(error)
    )


def no_memory(said: str) -> str:
    """Give the last line of what a process said in which it says that no memory is left; "" where it says so in none."""
    return next((in_one_line(line.strip()) for line in reversed(said.splitlines()) if NO_MEMORY.search(line)), "")


def machine_fault(error: BaseException, what: str) -> MuxflowError | None:
    """Make the error of a fault of the machine; None for one of what was read or computed.

    `what`: names the file or the node that was worked at. An error of Muxflow's that may pass is given as it is.
    """
    if isinstance(error, MuxflowError):
        return error if may_pass(error) else None
    if is_of_memory(error):
        return MachineFault(f"{what}: not enough memory ({reason(error)}); {MEMORY_REMEDY}")
    if isinstance(error, OSError) and error.errno in OF_MACHINE:
        remedy = REMEDIES.get(error.errno or 0, "see whether its disk works, then start again")
        return MachineFault(f"{what}: cannot be read ({reason(error)}); {remedy}")
    return None


def raise_machine_fault(error: BaseException, what: str) -> None:
    """Raise what `machine_fault` makes of an error, where it is one of the machine."""
    fault = machine_fault(error, what)
    if fault is error:
        raise fault
    if fault is not None:
        raise fault from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
