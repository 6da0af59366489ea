"""Arrays in NumPy's files: nothing in them is run, and nothing is made that is larger than what a file holds."""

from __future__ import annotations

import io
import zipfile
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.text import reason

ENDING = ".npy"


def npy_array(data: bytes) -> npt.NDArray[Any]:
    """Read the contents of a `.npy` file; raises ValueError unless it holds all that its header says, and plain values."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"an array of .npy version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, kind = read(file)
    except Exception as error:  # a damaged header raises nearly anything
        raise ValueError(f"no array of NumPy: {reason(error)}") from error
    whole = all(type(size) is int and size >= 0 for size in shape) and kind.itemsize > 0
    if kind.hasobject or not whole or prod(shape) * kind.itemsize != len(data) - file.tell():
        raise ValueError(f"an array of {kind} and shape {shape} in {len(data)} bytes"[:200])
    return np.frombuffer(data, kind, offset=file.tell()).reshape(shape, order="F" if columns_first else "C")


def npz_arrays(archive: zipfile.ZipFile, what: str) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a `.npz` file by name.

    Raises MuxflowError naming `what` where they would be too large, ValueError or one of ARCHIVE_FAULTS for a damaged file.
    """
    check_bytes(what, sum(entry.file_size for entry in archive.infolist()))
    names = (name for name in archive.namelist() if name.endswith(ENDING))
    return {name.removesuffix(ENDING): npy_array(archive.read(name)) for name in names}
