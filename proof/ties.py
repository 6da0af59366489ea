"""Differences that rounding decides: a float execution's codes followed through the graph from tie to tie.

At some codes of an accumulator the float model stands so near between two codes that the order of its sums decides
(`Graph.ties`, which says between which). Where an execution took another one of them there, all that comes after differs too.
So its own code goes on in the place of the graph's, and what then still differs is no tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.graph.graph import EVERY, Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.proof.execution import Floats

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Differences:
    """Codes that differ at near ties and elsewhere, images with some at ties, and where the first of each kind stands."""

    inside: int
    outside: int
    images: int
    first_inside: str
    first_outside: str

    def __add__(self, later: Differences) -> Differences:
        """Return both together; the first ones are those of this one."""
        return Differences(
            self.inside + later.inside,
            self.outside + later.outside,
            self.images + later.images,
            self.first_inside or later.first_inside,
            self.first_outside or later.first_outside,
        )


def follow(
    graph: Graph,
    constants: Mapping[str, IntArray],
    batch: Mapping[str, IntArray],
    given: Mapping[str, Floats],
    start: int,
) -> Differences:
    """Count the differences between an execution and the graph that goes on with the execution's codes.

    `given`: what the execution gave, by stream; `start`: number of the batch's first image. A tie at a stream that the
    execution does not show may be the reason of any difference after it in that image, up to streams that it shows.
    Raises MismatchError where a value stands for no code.
    """
    walk = _Walk(graph, given, start)
    frames = len(next(iter(batch.values())))
    values: dict[str, IntArray] = {**constants, **batch}
    hidden: dict[str, Flags] = {}
    for node in graph.nodes:
        if not node.inputs:
            continue
        inputs = [values[name] for name in node.inputs]
        unsure = _unsure(graph, node, inputs[0])
        before = np.zeros(frames, bool)
        for name in node.inputs:
            before = before | hidden.get(name, False)
        for name, wanted in zip(node.outputs, node.op.compute(*inputs), strict=True):
            if name in given:
                values[name] = walk.met(node, name, inputs[0], wanted, unsure, before)
                hidden[name] = np.zeros(frames, bool)
            else:
                values[name] = wanted
                hidden[name] = before | unsure.reshape(frames, -1).any(axis=1)
    return walk.found()


class _Walk:
    """The counts of a walk over the graph."""

    def __init__(self, graph: Graph, given: Mapping[str, Floats], start: int) -> None:
        self.graph, self.given, self.start = graph, given, start
        self.counts = {True: 0, False: 0}
        self.first = {True: "", False: ""}
        self.tied: set[int] = set()

    def met(self, node: Node, name: str, x: IntArray, wanted: IntArray, unsure: Flags, before: Flags) -> IntArray:
        """Return the execution's codes of a stream, differences counted; `before`: images with a hidden tie before it."""
        met = self.given[name].codes(wanted, name).reshape(wanted.shape)
        differs = met != wanted
        if not differs.any():
            return wanted
        allowed = np.broadcast_to(before.reshape(-1, *(1,) * (wanted.ndim - 1)), wanted.shape)
        if unsure.any():
            allowed = allowed | _rounded(self.graph, node, x, wanted, met, unsure & differs)
        for inside, which in ((True, differs & allowed), (False, differs & ~allowed)):
            places = np.argwhere(which)
            self.counts[inside] += len(places)
            if inside:
                self.tied.update(map(int, places[:, 0]))
            if len(places) and not self.first[inside]:
                image, *index = (int(i) for i in places[0])
                at = tuple(places[0])
                self.first[inside] = (
                    f"{name}: image {self.start + image}, index {tuple(index)}: {met[at]}, graph {wanted[at]}"
                )
        return met

    def found(self) -> Differences:
        """Return all that was met."""
        return Differences(self.counts[True], self.counts[False], len(self.tied), self.first[True], self.first[False])


def _rows(graph: Graph, node: Node) -> int:
    """Count the rows that ties of a node name: those of its thresholds, or its channels."""
    return len(node.op.thresholds) if isinstance(node.op, Threshold) else graph.streams[node.inputs[0]].channels


def _unsure(graph: Graph, node: Node, x: IntArray) -> Flags:
    """Mark the inputs of a node at which rounding decides."""
    ties = graph.ties.get(node.name, ())
    if not ties or not isinstance(node.op, Threshold | ShiftClip):
        return np.zeros(x.shape, bool)
    rows, stream = _rows(graph, node), graph.streams[node.inputs[0]]
    known = [tie for tie in ties if 0 <= tie[0] < rows and stream.lo <= tie[1] <= stream.hi]
    every = [tie[1] for tie in ties if tie[0] == EVERY and stream.lo <= tie[1] <= stream.hi]
    sums = np.unique(np.array([tie[1] for tie in known], np.int64))
    keys = [
        tie[0] * len(sums) + place for tie, place in zip(known, sums.searchsorted([t[1] for t in known]), strict=True)
    ]
    flat = x.reshape(len(x), -1)
    place = sums.searchsorted(flat).clip(0, max(0, len(sums) - 1))
    near = np.isin(np.arange(flat.shape[1]) % rows * len(sums) + place, keys)
    return (near & np.isin(flat, sums) | np.isin(flat, every)).reshape(x.shape)


def _rounded(graph: Graph, node: Node, x: IntArray, wanted: IntArray, met: IntArray, where: Flags) -> Flags:
    """Mark the codes that rounding can give, of those at ties at which an execution differs."""
    op, stream, rows = node.op, graph.streams[node.inputs[0]], _rows(graph, node)
    codes = {tie[:2]: tie[2:] for tie in graph.ties[node.name]}
    # Of an older file, which lists no codes: the next one, where it is that of the sum before or after.
    (below,) = op.compute(np.maximum(x, stream.lo + 1) - 1)
    (above,) = op.compute(np.minimum(x, stream.hi - 1) + 1)
    older = (np.abs(met - wanted) <= getattr(op, "jump", 1)) & ((met == below) | (met == above))
    allowed = np.zeros(where.shape, bool)
    for at in zip(*np.nonzero(where), strict=True):
        row = int(np.ravel_multi_index(at[1:], where.shape[1:])) % rows
        code = int(x[at])
        listed = codes[row, code] if (row, code) in codes else codes[EVERY, code]
        allowed[at] = met[at] in listed if listed else older[at]
    return allowed
