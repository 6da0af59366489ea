"""A float model beside the integer graph: its inputs from codes, and the codes that its tensors stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MismatchError, MuxflowError
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.input_order import in_stream_order
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.quantizers import FLOAT_SLACK
from muxflow.frontend.importer.values import Doubles
from muxflow.proof.execution import Tensor

TOLERANCE = 0.05
"""How far from a whole code a model's float may lie and still stand for it: float32 rounding is far below, half a code
far above."""


PIXEL_STEPS = (1, 1 / 255, 1 / 256)
"""What a code of an input may be worth for it to be a pixel: what loaders make of the steps of an 8-bit image."""


def image_codes(graph: Graph, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return 8-bit images (N, H, W, C) as input codes, (N, *shape of the input): the pixels themselves, where codes are pixels.

    They are where the input holds 0..255, and a code is worth one of PIXEL_STEPS, or is worth nothing that the graph tells.
    Where a model swaps the axes of its input, so do the codes (`in_stream_order`, which says what other shapes fit).
    Raises MuxflowError for another input, another shape, and a graph of several inputs.
    """
    if len(graph.inputs) != 1:
        raise MuxflowError(f"{graph.name}: {len(graph.inputs)} inputs; images are codes of a graph with one")
    stream = graph.streams[graph.inputs[0]]
    if stream.lo > 0 or stream.hi < 255:
        raise MuxflowError(f"{graph.name}: input {stream} does not hold 8-bit pixels; give codes in its interval")
    worth = stream.scale[0] if stream.scale else 1
    if not any(math.isclose(worth, step, rel_tol=1e-4) for step in PIXEL_STEPS):
        raise MuxflowError(
            f"{graph.name}: a code of input {graph.inputs[0]} is worth {worth:g}, so that it is no pixel of images that are "
            "scaled to 0..1; give what the model takes as floats (csim --images FILE)"
        )
    # Every pixel fits into the interval: one image says the rest, without a copy of all in wider integers.
    name = graph.inputs[0]
    codes = in_stream_order(graph.name, images, stream.shape, graph.entries.get(name))
    graph.check_codes(codes[:1])
    return codes


def float_inputs(graph: Graph, codes: Batch) -> tuple[npt.NDArray[np.float32], ...]:
    """Return the model's float inputs that stand for a batch of input codes, one an input.

    Shape (N, C, ...), or where the graph has an entry for the input that of the entry. Raises MuxflowError naming an input
    of which the graph says no scale: it was not imported from a model.
    """
    found = []
    for name, array in graph.check_codes(codes).items():
        scale = graph.streams[name].scale
        if not scale:
            raise MuxflowError(
                f"{graph.name}: its input {name} has no scale, so no model computes what it does; take the model file out of "
                "the project, or build the project from that model"
            )
        values = (array * np.float64(scale[0])).astype(np.float32)
        entry = graph.entries.get(name)
        found.append(np.ascontiguousarray(np.moveaxis(values, -1, 1)) if entry is None else entry(values))
    return tuple(found)


def observed(
    graph: Graph,
    outputs: Mapping[str, npt.NDArray[Any]],
    tensors: Mapping[str, npt.NDArray[Any]],
) -> dict[str, Tensor]:
    """Return what a float model gave as codes to compare, by stream.

    `outputs`: of the model, by the graph's output; of one that has an end the tensor there. `tensors`: by the stream that
    they stand for, channel first.
    """
    inner = {name: _inner(graph.streams[name], values) for name, values in tensors.items()}
    return inner | {name: _output(graph, name, values) for name, values in outputs.items()}


def end_of(graph: Graph, output: str) -> str:
    """Return the model's tensor that an output stands for; "" where that is the model's own output."""
    end = graph.ends.get(output)
    return "" if end is None else end.tensor


@dataclass(frozen=True, eq=False)
class Steps:
    """Floats in steps of one code, shape (N, *shape of the stream).

    `reach`: largest size of a sum that they come from, in the same steps. `dead`: elements of the last axis whose value
    does not depend on the code; they must be 0.
    """

    values: Doubles
    reach: float
    dead: npt.NDArray[np.bool_] | None = None

    def codes(self, expected: IntArray, stream: str) -> IntArray:
        """See `Floats`: the expected codes where float32 cannot tell the two apart, else the nearest."""
        values = self.values if self.dead is None else self.values + np.where(self.dead, expected, 0)
        slack = max(TOLERANCE, self.reach * FLOAT_SLACK)
        codes = np.where(np.abs(values - expected) <= slack, expected, np.rint(values))
        worst = float(np.abs(values - codes).max(initial=0))
        if worst > slack:
            raise MismatchError(
                f"{stream}: the model's values are not on the integer grid, off by {worst:.3f} of a step"
            )
        return codes.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Logits:
    """Logits, shape (N, classes), where a stream has the largest ones' indices; among equals the lowest comes first."""

    values: Doubles

    def codes(self, expected: IntArray, stream: str) -> IntArray:
        """See `Floats`: the expected class where float32 cannot tell the two logits apart."""
        chosen = expected.reshape(len(expected), -1)
        largest = np.argsort(-self.values, axis=1, kind="stable")[:, : chosen.shape[1]]
        apart = np.abs(np.take_along_axis(self.values, largest, 1) - np.take_along_axis(self.values, chosen, 1))
        return np.where(apart <= FLOAT_SLACK * np.abs(self.values).max(axis=1, keepdims=True), chosen, largest)


def _inner(stream: Stream, values: npt.NDArray[Any]) -> Tensor:
    ordered = np.moveaxis(values, 1, -1) if values.ndim > 2 else values
    if ordered[0].size != stream.size:
        return ordered.astype(np.int64)  # the comparison names the shapes
    steps = ordered.astype(np.float64).reshape(-1, *stream.shape) / np.array(stream.scale)
    return Steps(steps, max(abs(stream.lo), abs(stream.hi)))


def _output(graph: Graph, name: str, values: npt.NDArray[Any]) -> Tensor:
    """Compute the codes of an output stream from a model's output, by the inverse of the read-out."""
    readout = graph.readouts.get(name)
    flat = values.reshape(len(values), -1).astype(np.float64)
    if readout is None:
        return Logits(flat)
    stream = graph.streams[name]
    if flat.shape[1] != stream.size:
        raise MismatchError(f"{name}: the model gives {flat.shape[1]} values, the graph {stream.size}")
    ordered = np.empty((len(values), stream.size))
    ordered[:, list(readout.order)] = flat
    # A channel with factor 0 tells nothing of its codes, but its value must be the offset.
    dead = np.array(readout.scale) == 0
    scale, offset = np.where(dead, 1, np.array(readout.scale)), np.array(readout.offset)
    steps = (ordered.reshape(-1, *stream.shape) - offset) / scale
    reach = max(abs(stream.lo), abs(stream.hi)) + float(np.abs(offset / scale).max())
    return Steps(steps, reach, dead)
