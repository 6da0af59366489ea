"""Constants of an ONNX file that stand in files beside it."""

from __future__ import annotations

import os
import stat
from math import prod
from pathlib import Path

import onnx
from onnx import helper
from onnx.external_data_helper import (
    ExternalDataInfo,
    _get_all_tensors,
    load_external_data_for_model,
    uses_external_data,
)

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.text import in_one_line, plainly
from muxflow.frontend.faults import raise_machine_fault

ONE_FILE = "export it in one file (torch.onnx.export(..., external_data=False), onnx.save_model without external data)"
HALF_BYTES = frozenset(("INT4", "UINT4", "FLOAT4E2M1"))
"""Types of which a byte holds two elements."""


def is_whole(model: onnx.ModelProto) -> bool:
    """Tell whether a model holds all of its constants itself."""
    return not any(map(uses_external_data, _get_all_tensors(model)))


def load_external(model: onnx.ModelProto, path: Path, read: int) -> None:
    """Put the constants that stand in files beside the model's, at `path`, into the model.

    `read`: bytes of the model's own file. Raises MuxflowError naming the constant, and the file that it stands in, where that
    is none that ONNX reads, or does not hold just the bytes that the constant has; before anything is read.
    """
    total = read
    for tensor in filter(uses_external_data, _get_all_tensors(model)):
        total += _checked(tensor, path)
        check_bytes(f"model {path} with its external data", total)
    try:
        load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # ONNX looks at the files once more, and raises whatever it meets
        raise_machine_fault(error, f"model {path}: its external data")
        raise MuxflowError(f"model {path}: its external data cannot be read ({plainly(error)}); {ONE_FILE}") from error


def _checked(tensor: onnx.TensorProto, path: Path) -> int:
    """Count the bytes of a constant that stands in another file."""
    name = in_one_line(tensor.name or "a tensor without name")
    try:
        info = ExternalDataInfo(tensor)
        start, length = info.offset or 0, info.length
    except ValueError as error:
        raise MuxflowError(
            f"model {path}: the place of constant {name} in its external data is no number ({plainly(error)}); {ONE_FILE}"
        ) from error
    file = path.parent / info.location
    where = f"model {path}: constant {name} stands in {in_one_line(info.location) or 'a file without name'}"
    if (fault := _fault(file, path, info.location)) is not None:
        raise MuxflowError(f"{where}, {fault}")
    size = file.stat().st_size
    held = max(0, size - start) if length is None else length
    wanted = _bytes(tensor)
    if wanted is not None and held != wanted:
        raise MuxflowError(f"{where}, which gives {held:,} bytes for its {wanted:,}; export the model again")
    if start + held > size:
        raise MuxflowError(
            f"{where} up to byte {start + held:,}, which has {size:,}; the file is cut short or another's, export the model again"
        )
    return int(held)


def _fault(file: Path, path: Path, location: str) -> str | None:
    """Say why ONNX does not read a file of constants, and what to do; None where it does."""
    if not location or "\0" in location or os.path.isabs(location) or ".." in Path(location).parts:
        return f"which points outside the directory of the model; put it beside the model, or {ONE_FILE}"
    try:
        found = file.lstat()
    except FileNotFoundError:
        if path.is_symlink():
            return f"which is not beside the model, itself a link; give {os.path.realpath(path)}, or {ONE_FILE}"
        return f"which is not beside the model (No such file); put it there, or {ONE_FILE}"
    except OSError as error:
        return f"which cannot be read ({plainly(error)}); {ONE_FILE}"
    if stat.S_ISLNK(found.st_mode):
        return f"a symbolic link, which ONNX does not follow; put the file itself there, or {ONE_FILE}"
    if not stat.S_ISREG(found.st_mode):
        return f"which is no file but a folder, a device or a pipe; {ONE_FILE}"
    if found.st_nlink > 1:
        return f"a file of several names (hard links), which ONNX does not read; put a copy there, or {ONE_FILE}"
    return None


def _bytes(tensor: onnx.TensorProto) -> int | None:
    """Count the bytes that a constant has by its type and its sizes; None where they do not say it."""
    try:
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        half = onnx.TensorProto.DataType.Name(tensor.data_type) in HALF_BYTES
    except (KeyError, ValueError):
        return None
    count = prod(tensor.dims)
    return None if count < 0 else -(-count // 2) if half else count * int(kind.itemsize)
