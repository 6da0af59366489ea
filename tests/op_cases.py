"""The ladder's cases of an op for targets: what a target needs to run an op, and what it must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, Role
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights


@dataclass(frozen=True, eq=False)
class Case:
    """An op with frames and what the slow reference makes of them, in the graph's order, a batch axis first; its folds."""

    op: Op
    streams: tuple[Stream, ...]
    inputs: tuple[IntArray, ...]
    outputs: tuple[IntArray, ...]
    folds: tuple[Fold, ...]


class OpTarget(Protocol):
    """A target of the ladder.

    `name`: of the target; `refusals`: patterns of the messages with which it may refuse a case.
    """

    name: str
    refusals: tuple[str, ...]

    def climb(self, cases: Sequence[Case]) -> Sequence[str]:
        """Run every case and assert that all outputs equal; "" for each case, or the message that refuses it."""
        ...


@dataclass(frozen=True, eq=False)
class Network:
    """A case as a graph: frames by input, what is expected by output, and the legal folds of the node that leads."""

    graph: Graph
    frames: Mapping[str, IntArray]
    expected: Mapping[str, IntArray]
    leader: str
    folds: tuple[Fold, ...]


def network(case: Case) -> Network:
    """The op as a graph of its own; with a product, where its fold is that of the node that reads it."""
    return _read_by_product(case) if case.op.folds_with_reader else _alone(case)


def _alone(case: Case) -> Network:
    """The op, with what stores the weights that it reads."""
    op, nodes = case.op, []
    names = [f"x{i}" for i in range(len(case.streams))]
    frames: dict[str, IntArray] = {}
    for name, stream, values in zip(names, case.streams, case.inputs, strict=True):
        if stream.constant is None:
            frames[name] = values
        else:
            weights = RomWeights(stream.constant, getattr(op, "groups", 1), stream.repeats)
            nodes.append(Node(f"stored_{name}", weights, (), (name,)))
    expected = {f"y{i}": values for i, values in enumerate(case.outputs)}
    nodes.append(Node("node", op, tuple(names), tuple(expected)))
    streams = {name: stream for name, stream in zip(names, case.streams, strict=True) if name in frames}
    graph = with_nodes(Graph(op.kind, (), streams, tuple(streams), tuple(expected)), nodes)
    return Network(graph, frames, expected, "node", tuple(fold for fold in case.folds if not op.interleaved(fold)))


def _read_by_product(case: Case) -> Network:
    """Weights with random vectors, or the vectors of a layout with random weights, summed in plain numpy."""
    op, (y,), (made,) = case.op, case.op.infer(*case.streams), case.outputs
    groups, generator = getattr(op, "groups", 1), np.random.default_rng(y.size)
    nodes = [Node("node", op, tuple("x" for _ in case.streams), ("y",))]
    if op.role is Role.SOURCE:
        weights, product, ends = made[0], MatrixVector(groups), ("x", "y")
        x = Stream((1, y.repeats, groups * y.channels), 0, 3)
        frames = vectors = random_codes(x, 2, generator)
    else:
        weights = generator.integers(-1, 2, (groups, y.channels // groups))
        nodes.append(Node("weights", RomWeights(weights, groups, y.pixels), (), ("w",)))
        product, ends = MatrixVector(groups, prod(op.attributes()["kernel"])), ("y", "w")
        (x,), (frames,), vectors = case.streams, case.inputs, made
    nodes.append(Node("product", product, ends, ("z",)))
    graph = with_nodes(Graph(op.kind, (), {"x": x}, ("x",), ("z",)), nodes)
    rows, columns = weights.shape
    split = vectors.reshape(*vectors.shape[:-1], groups, 1, columns) * weights.reshape(groups, -1, columns)
    sums = split.sum(axis=-1).reshape(*vectors.shape[:-1], rows)
    legal = product.folds(graph.ports(graph.nodes[-1]))
    ports = graph.ports(graph.nodes[0])
    alone = (fold for fold in legal if op.role is Role.LAYOUT or not product.interleaved(fold))
    folds = tuple(fold for fold in alone if _keeps_up(op, ports, fold))
    return Network(graph, {"x": frames}, {"z": sums}, "product", folds)


def _keeps_up(op: Op, ports: Ports, fold: Fold) -> bool:
    """Whether the op can send what such a reader takes a cycle: generated weights are made a few rows a cycle."""
    try:
        op.lanes(ports, fold)
    except GraphError:
        return False
    return True
