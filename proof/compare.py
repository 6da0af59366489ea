"""The one comparison: every execution of a network against its integer graph, code for code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from muxflow.dataflow.errors import ExecutionError, MismatchError, MuxflowError
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.proof.execution import Execution, Floats, Tensor
from muxflow.proof.ties import Differences, follow

BATCH = 64
"""Most images that are run and compared at once."""
BATCH_CODES = 1 << 26
"""Most codes of all streams of a batch, 8 bytes each: what the comparison needs in memory, however many images there are."""

TIES_PAGE = 'see "Near ties" in docs/reference/models.md'
"""Where a user reads what ties are, and how a network comes to have none."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """An execution that agreed with the graph: the streams and the number of codes that were compared, and how long it ran.

    `failed`: why the execution could not run the network, "" where it could. `ties`: its differences at near ties, where it
    has some and they were allowed.
    """

    title: str
    streams: tuple[str, ...]
    images: int
    codes: int
    seconds: float
    failed: str = ""
    ties: Differences | None = None

    @property
    def images_per_second(self) -> float:
        """Images run in a second, the graph and the comparison not counted."""
        return self.images / self.seconds


@dataclass(frozen=True, eq=False)
class Comparison:
    """What all executions agreed on: an outcome each, and the output codes of all images by the graph's output."""

    outcomes: tuple[Outcome, ...]
    outputs: Mapping[str, IntArray]


def compare(
    graph: Graph,
    executions: Sequence[Execution],
    codes: Batch | Iterator[Batch],
    progress: Progress | None = None,
    *,
    tolerant: bool = False,
) -> Comparison:
    """Run the graph and every execution on the same images and compare all codes that the executions give.

    `codes`: a batch as the graph takes it, or an iterator of batches. The graph is evaluated once for each slice of at
    most `BATCH` images; of a slice nothing but the outputs is kept.
    `progress(done, total)` counts images after each slice; total is 0 for an iterator.
    `tolerant`: an execution that raises ExecutionError is left out from then on, and its outcome says why; one that computes
    in floats may differ at near ties of the graph (`Graph.ties`), which its outcome counts.

    Raises MismatchError naming the first execution that differs and its first difference: node in topological order,
    stream, image, index and both values; MuxflowError when there are no images or they do not fit the graph.
    """
    counts = [_Count(execution, tolerant) for execution in executions]
    outputs: list[dict[str, IntArray]] = []
    done = 0
    total = 0 if isinstance(codes, Iterator) else graph.frames(codes)
    constants = graph.constants()
    for batch in _slices(graph, codes):
        outputs.append(_compare_batch(graph, constants, counts, batch, done))
        done += len(batch[graph.inputs[0]])
        if progress:
            progress(done, total)
    if not outputs:
        raise MuxflowError(f"{graph.name}: nothing to compare: no images; give at least one")
    joined = {name: np.concatenate([part[name] for part in outputs]) for name in graph.outputs}
    return Comparison(tuple(count.outcome(done) for count in counts), joined)


@dataclass
class _Count:
    """What has been compared with one execution so far."""

    execution: Execution
    tolerant: bool
    failed: str = ""
    ties: Differences | None = None
    streams: dict[str, None] = field(default_factory=dict)
    codes: int = 0
    seconds: float = 0.0

    def run(self, batch: Mapping[str, IntArray]) -> Mapping[str, Tensor] | None:
        """Run a batch; None from where the execution has failed, if that is tolerated."""
        if self.failed:
            return None
        started = time.perf_counter()
        try:
            found = self.execution.run(batch)
        except ExecutionError as error:
            if not self.tolerant:
                raise
            self.failed = str(error)
            return None
        self.seconds += time.perf_counter() - started
        if self.codes and set(found) != set(self.streams):
            odd = sorted(set(found) ^ set(self.streams))[0]
            raise MismatchError(
                f"{self.execution.name} gives {odd} of some images and not of others", self.execution.name
            )
        self.streams.update(dict.fromkeys(found))
        return found

    def outcome(self, images: int) -> Outcome:
        if self.failed:
            return Outcome(self.execution.title, (), 0, 0, self.seconds, self.failed)
        return Outcome(self.execution.title, tuple(self.streams), images, self.codes, self.seconds, ties=self.ties)


def _slices(graph: Graph, codes: Batch | Iterator[Batch]) -> Iterator[dict[str, IntArray]]:
    """Yield the input codes by name, few enough images at a time."""
    weights = graph.weights()
    frame = sum(stream.size for name, stream in graph.streams.items() if name not in weights)
    size = min(BATCH, max(1, BATCH_CODES // frame))
    for given in codes if isinstance(codes, Iterator) else (codes,):
        if graph.carries:
            size = max(1, graph.frames(given))  # one sequence
        for _, batch in graph.batches(given, size):
            for array in batch.values():
                array.flags.writeable = False  # all executions and the graph see the same codes
            yield batch


def _compare_batch(
    graph: Graph,
    constants: Mapping[str, IntArray],
    counts: Sequence[_Count],
    batch: Mapping[str, IntArray],
    start: int,
) -> dict[str, IntArray]:
    """Compare one slice, whose first image is number `start`; return the graph's outputs."""
    found = [count.run(batch) for count in counts]
    expected = graph.evaluate(batch, constants)
    order = [*graph.inputs, *(name for node in graph.nodes for name in node.outputs)]
    for count, given in zip(counts, found, strict=True):
        if given is None:
            continue
        missing = [name for name in graph.outputs if name not in given]
        if missing:
            raise MismatchError(
                f"{count.execution.name} gives no output {', '.join(missing)} of {graph.name}", count.execution.name
            )
        unknown = sorted(set(given) - set(order))
        if unknown:
            raise MismatchError(
                f"{count.execution.name} gives {unknown[0]}, which is no stream of {graph.name}", count.execution.name
            )
        try:
            for name in sorted(given, key=order.index):
                _equal(graph, count.execution.name, name, given[name], expected[name], start)
        except MismatchError as error:
            _allow_ties(graph, constants, count, batch, given, start, error)
        count.codes += sum(expected[name].size for name in given)
    return {name: expected[name] for name in graph.outputs}


def _allow_ties(
    graph: Graph,
    constants: Mapping[str, IntArray],
    count: _Count,
    batch: Mapping[str, IntArray],
    given: Mapping[str, Tensor],
    start: int,
    error: MismatchError,
) -> None:
    """Note an execution's differences that lie at near ties; raises the error, with their number, where any does not."""
    floats = {name: value for name, value in given.items() if isinstance(value, Floats)}
    if not graph.ties or len(floats) < len(given):
        raise error
    found = follow(graph, constants, batch, floats, start)
    who = count.execution.name
    if found.outside:
        raise MismatchError(
            f"{error}; followed from tie to tie, {found.inside} codes differ where float rounding decides, and "
            f"{found.outside} elsewhere, first at {found.first_outside}; {TIES_PAGE}",
            who,
        ) from None
    if not count.tolerant:
        raise MismatchError(
            f"{error}; all {found.inside} codes that differ lie at near ties, where float rounding decides: {who} has "
            f"{found.first_inside}; {TIES_PAGE}",
            who,
        ) from None
    count.ties = found if count.ties is None else count.ties + found


def _equal(graph: Graph, who: str, name: str, value: Tensor, wanted: IntArray, start: int) -> None:
    """Raise MismatchError naming the first code of a stream that differs."""
    frames = len(wanted)
    try:
        met = value.codes(wanted, name) if isinstance(value, Floats) else value
    except MismatchError as error:
        raise MismatchError(str(error), who) from error
    if len(met) != frames or met.size != wanted.size:
        raise MismatchError(
            f"{who} differs from the graph at {_place(graph, name)}: shapes {met.shape} and {wanted.shape}", who
        )
    met, wanted = met.reshape(frames, -1), wanted.reshape(frames, -1)
    if not np.array_equal(met, wanted):
        image, flat = (int(i) for i in np.argwhere(met != wanted)[0])
        index = tuple(int(i) for i in np.unravel_index(flat, graph.streams[name].shape))
        raise MismatchError(
            f"{who} differs from the graph first at {_place(graph, name)}: image {start + image}, index {index}: "
            f"{who} {met[image, flat]}, graph {wanted[image, flat]}",
            who,
        )


def _place(graph: Graph, name: str) -> str:
    """Name a stream and the node that writes it, by one name where both have the same."""
    node = graph.producers().get(name)
    if node is None:
        return f"node input, stream {name}"
    return name if node.name == name else f"node {node.name}, stream {name}"
