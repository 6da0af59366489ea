"""What a user gives to a model: one array an input, frames first; the same words wherever something is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.text import plainly, shown

Batch = npt.ArrayLike | Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike]
"""A batch of frames: one array for a model of one input, else one array an input, in order or by name."""


def arrays_by_input(
    where: str, inputs: Sequence[str], batch: Batch, what: str = "codes"
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a batch by input, in the order of `inputs`; `where` names the model, `what` the numbers.

    Raises MuxflowError where there is not one for each, or one has no axis of frames.
    """
    found = {}
    for name, given in _given(where, inputs, batch).items():
        try:
            found[name] = np.asarray(given)
        except Exception as error:  # arrays of other libraries raise whatever they meet
            raise MuxflowError(f"{where}, input {name}: not an array of {what} ({plainly(error)})") from None
        if isinstance(given, np.ma.MaskedArray):
            raise MuxflowError(f"{where}, input {name}: a masked array, and no frame is left out; give it filled")
        if found[name].ndim == 0:
            raise MuxflowError(f"{where}, input {name}: {shown(given)} is no batch of {what}; give an array of frames")
    return found


def _given(where: str, inputs: Sequence[str], batch: Batch) -> dict[str, npt.ArrayLike]:
    expected = f"{where}: expected one array for each input ({', '.join(inputs)})"
    if isinstance(batch, Mapping):
        if set(batch) != set(inputs):
            raise MuxflowError(f"{expected}; there are arrays for {', '.join(map(shown, batch)) or 'none'}")
        return {name: batch[name] for name in inputs}
    if len(inputs) == 1 and not (isinstance(batch, tuple) and len(batch) == 1):
        return {inputs[0]: batch}  # type: ignore[dict-item]
    if not isinstance(batch, tuple | list) or len(batch) != len(inputs):
        met = f"{len(batch)} arrays" if isinstance(batch, tuple | list) else f"one {type(batch).__name__}"
        raise MuxflowError(f"{expected}, as a tuple in this order or by name; met {met}")
    return dict(zip(inputs, batch, strict=True))


def check_shape(where: str, array: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise MuxflowError unless an array holds at least one frame of a shape; `where` names the model and the input."""
    if array.shape[1:] != shape:
        raise MuxflowError(f"{where}: images of shape {array.shape}; expected (N, {', '.join(map(str, shape))})")
    if array.size == 0:
        raise MuxflowError(f"{where}: a batch of no images; give at least one")


def check_counts(where: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise MuxflowError naming the inputs where their arrays have different numbers of frames."""
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        met = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise MuxflowError(f"{where}: inputs of different numbers of images ({met}); give one of each a frame")


def place(where: str, inputs: Sequence[str], name: str) -> str:
    """Name an input for a message; the model alone where it has one input."""
    return where if len(inputs) == 1 else f"{where}, input {name}"
