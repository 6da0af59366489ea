"""Images for a simulation, and how they come from a user's own file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.arrays import npy_array, npz_arrays
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.files import ARCHIVE_FAULTS, check_file
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Entry, Graph
from muxflow.dataflow.graph.input_order import in_stream_order
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import check_bytes, check_elements
from muxflow.dataflow.quantities import share
from muxflow.dataflow.text import in_one_line, reason, shown

IMAGES, LABELS = "images", "labels"
"""Names of the arrays in a file of images."""

DIGEST = 12
"""Characters of a digest of images (decision)."""

HASHED = 1 << 10
"""Images that are hashed at once: their numbers take 8 bytes each meanwhile."""

CODES_AS_FLOATS = 2
"""How many times an input's largest value codes must be to be told from values (decision)."""

Arrays = dict[str, npt.NDArray[Any]]


class Frames:
    """Input codes of one input that are read when they are asked for: more than the memory holds.

    `read`: gives those of some images. As an array they are all of them; raises MuxflowError where those are too many.
    """

    def __init__(self, where: str, shape: tuple[int, ...], read: Callable[[slice], npt.NDArray[Any]]) -> None:
        self.where = where
        self.shape = shape
        self._read = read

    def __len__(self) -> int:
        return self.shape[0]

    def parts(self, size: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the codes of at most `size` images at a time."""
        for start in range(0, len(self), size):
            yield self._read(slice(start, start + size))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        check_elements(self.where, *self.shape)
        return np.asarray(self._read(slice(None)), dtype)


@dataclass(frozen=True)
class Images:
    """Input codes with, where there are any, labels; the name of the data set or file, and its split, "" for none.

    `digest`: of the numbers that stand in a file, "" for a data set. `output`: whose class the labels are; "" for the first
    output that says one.
    """

    codes: Batch | Frames
    labels: npt.NDArray[np.int64] | None
    dataset: str
    split: str
    digest: str = ""
    output: str = ""


def file_images(graph: Graph, path: Path, count: int | None) -> Images:
    """Return the first `count` images of a .npz or .npy file (all when None), channels last.

    The array is called `images`, or is the only one beside `labels`; with several inputs there is one by the name of each.
    Integers are codes; floats are the model's input values, normalized where the graph has a mean and a standard deviation,
    and become the nearest codes. Which orders of the axes there are says `in_stream_order`.
    `labels`: class indices (N,).
    Raises MuxflowError naming the file, the array, what was met and what is expected.
    """
    arrays = _read(path)
    labels = arrays.pop(LABELS, None)
    if len(graph.inputs) == 1 and (len(arrays) == 1 or IMAGES in arrays):
        (name,) = graph.inputs
        if name != IMAGES and {name, IMAGES} <= arrays.keys():
            raise MuxflowError(
                f"{path}: holds {IMAGES} and {in_one_line(name)}, both for the one input; keep one of them"
            )
        given = {graph.inputs[0]: arrays[IMAGES] if IMAGES in arrays else next(iter(arrays.values()))}
    else:
        missing = [name for name in graph.inputs if name not in arrays]
        if missing:
            wanted = " and ".join(graph.inputs) if len(graph.inputs) > 1 else IMAGES
            raise MuxflowError(
                f"{path}: holds {in_one_line(', '.join(arrays)) or 'no array'}; expected {wanted}, and {LABELS} for the "
                "accuracy"
            )
        given = {name: arrays[name] for name in graph.inputs}
    remarks: list[str] = []
    codes = {
        name: _codes(f"{path}: {name}", array[:count], graph.streams[name], graph.entries.get(name), remarks)
        for name, array in given.items()
    }
    try:
        codes = graph.check_codes(codes)
    except MuxflowError as error:
        raise MuxflowError(f"{path}: {error}") from error
    frames = graph.frames(codes)
    known = None if labels is None else _labels(path, labels[:count], frames)
    digest = _digest([given[name][:count] for name in graph.inputs], known)
    return Images(codes, known, ", ".join([path.name, *dict.fromkeys(remarks)]), "", digest)


def _digest(given: Sequence[npt.NDArray[Any]], labels: npt.NDArray[np.int64] | None) -> str:
    """Hash the numbers of images as they were given, those of each input in turn, and their labels.

    Whatever the model calls its inputs, how many bits its codes have, and in how many bytes the file keeps a number.
    """
    made = hashlib.sha256()
    for array in (*given, *(() if labels is None else (labels,))):
        plain = np.float64 if array.dtype.kind == "f" else np.int64
        made.update(f"{np.dtype(plain).kind} {len(array)} {array[:1].size} ".encode())
        for start in range(0, len(array), HASHED):
            made.update(np.ascontiguousarray(array[start : start + HASHED], plain).data)
    made.update(b"labels" if labels is not None else b"")
    return made.hexdigest()[:DIGEST]


def _read(path: Path) -> Arrays:
    """Read the arrays of a file; nothing in it is run."""
    check_file(path, "give arrays saved by numpy.savez (images, labels)")
    try:
        check_bytes(str(path), path.stat().st_size)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                arrays = npz_arrays(packed, str(path))
        else:
            arrays = {IMAGES: npy_array(path.read_bytes())}
    except ARCHIVE_FAULTS as error:
        raise MuxflowError(
            f"{path}: cannot be read as arrays of NumPy ({reason(error)}); save them by numpy.savez"
        ) from error
    for name, array in arrays.items():
        if array.dtype.kind not in "iufb" or not array.ndim:
            raise MuxflowError(
                f"{path}: {in_one_line(name)} is {array.ndim}-dimensional of type {array.dtype}; expected arrays of numbers"
            )
    return arrays


def _codes(
    where: str, array: npt.NDArray[Any], stream: Stream, entry: Entry | None, remarks: list[str]
) -> npt.NDArray[Any]:
    """Bring an array to the shape of a stream and floats to codes; a remark says how they became that."""
    array = in_stream_order(where, array, stream.shape, entry)
    if array.dtype.kind != "f":
        if array.max(initial=0) <= 1 < stream.hi:  # pixels over 255 that were made integers, or black and white
            remarks.append(f"no code above {int(array.max(initial=0))}, of {stream.hi}")
        return array.astype(np.int64) if array.dtype.kind == "b" else array
    scale, offset = (*stream.scale, 1.0)[0], (*stream.offset, 0.0)[0]
    top = max(abs(stream.lo), abs(stream.hi), 1)
    normalized = entry is not None and bool(entry.mean or entry.std)
    with np.errstate(over="ignore"):  # what is too large is infinite, or clipped
        numbers = array.astype(np.float64)
        values = ((numbers if entry is None else entry.restored(numbers)) - offset) / scale
        above = np.rint((values - stream.lo) / stream.step)
    if not np.isfinite(numbers).all():
        raise MuxflowError(f"{where}: holds NaN or infinity; give finite values")
    are_codes = (numbers == np.clip(np.rint(numbers), stream.lo, stream.hi)).all()
    if are_codes and not normalized and np.abs(values).max(initial=0) > CODES_AS_FLOATS * top:
        raise MuxflowError(
            f"{where}: whole numbers up to {np.abs(numbers).max():g} as floats, and the input's values end at "
            f"{top * scale:g}; give codes as integers, or multiply them by their scale, {scale:g}"
        )
    codes = stream.lo + stream.step * np.clip(above, 0, (stream.hi - stream.lo) // stream.step)
    beyond = int((np.abs(values - codes) > stream.step / 2 + 1e-6).sum())
    remarks.append(
        f"floats{' after mean and standard deviation' if normalized else ''} rounded to codes"
        f"{f', {share(beyond, codes.size)} of them clipped' if beyond else ''}"
    )
    return codes.astype(np.int64)


def _labels(path: Path, labels: npt.NDArray[Any], frames: int) -> npt.NDArray[np.int64]:
    if labels.shape != (frames,) or labels.dtype.kind not in "iu":
        raise MuxflowError(
            f"{path}: labels of shape {labels.shape} and type {labels.dtype}; expected a class index for each of {frames} "
            f"images, integers of shape ({frames},)"
        )
    indices = labels.astype(np.int64)
    if (indices < 0).any():
        raise MuxflowError(f"{path}: labels hold {labels[indices < 0][0]}, which is no class; leave out such images")
    return indices


def class_outputs(graph: Graph) -> dict[str, str]:
    """Map the outputs that say a class, in order and by the model's names, to the streams of a graph that may be folded."""
    named = zip(unfolded(graph).outputs, graph.outputs, strict=True)
    return {name: stream for name, stream in named if not graph.why_no_class(stream)}


def counted_output(outputs: Iterable[str], images: Images) -> str | None:
    """Name the output of `class_outputs` whose class the labels are: that of the images, else the first; None where none is."""
    return images.output or next(iter(outputs), None)


def labelled(graph: Graph, images: Images, output: str | None) -> Images:
    """Say whose class the labels of images are; `output`: None for the first output that says one.

    Raises UsageError for an output that there is not or that says no class, MuxflowError where a label is none of its classes;
    labels of which nothing is counted may be any.
    """
    outputs = class_outputs(graph)
    if output is not None and output not in outputs:
        raise UsageError(
            f"--labels-of {shown(output)}: no output of {graph.name} that says a class; there is {', '.join(outputs) or 'none'}"
        )
    images = replace(images, output=output or "")
    name = counted_output(outputs, images)
    if images.labels is None or name is None:
        return images
    readout = graph.readouts.get(outputs[name])
    classes = graph.streams[outputs[name]].hi + 1 if readout is None else len(readout.order)
    largest = int(images.labels.max(initial=0))
    if largest >= classes:
        other = f", name another output with --labels-of ({', '.join(outputs)})" if len(outputs) > 1 else ""
        raise MuxflowError(
            f"{images.dataset}: labels up to {largest}, and the classes of {name} are 0 to {classes - 1}; count classes "
            f"from 0{other}, or leave the labels out"
        )
    return images
