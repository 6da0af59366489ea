"""The ladder's cases of an op for targets: what a target needs to run an op, and what it must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold, IntArray, Op, Role
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
    """The op between stored weights, where it reads weights, and a product, where only a product decides on its fold."""
    op, nodes = case.op, []
    streams: dict[str, Stream] = {}
    frames: dict[str, IntArray] = {}
    for i, (stream, values) in enumerate(zip(case.streams, case.inputs, strict=True)):
        if stream.constant is None:
            streams[f"x{i}"], frames[f"x{i}"] = stream, values
        else:
            weights = RomWeights(stream.constant, getattr(op, "groups", 1), stream.repeats)
            nodes.append(Node(f"stored{i}", weights, (), (f"x{i}",)))
    targets = tuple(f"y{i}" for i in range(len(case.outputs)))
    nodes.append(Node("node", op, tuple(f"x{i}" for i in range(len(case.streams))), targets))
    expected = dict(zip(targets, case.outputs, strict=True))
    leader, folds = "node", tuple(fold for fold in case.folds if not op.interleaved(fold))
    if op.folds_with_reader:
        (y,) = op.infer(*case.streams)
        groups = getattr(op, "groups", 1)
        if op.role is Role.SOURCE:
            weights, pixels = case.outputs[0][0], 1
            x = Stream((1, y.repeats, groups * weights.shape[1]), 0, 3)
            vectors = random_codes(x, 2, np.random.default_rng(y.size))
            streams["x"], frames["x"], ends = x, vectors, ("x", "y0")
        else:
            pixels = prod(op.attributes()["kernel"])
            weights = np.random.default_rng(y.size).integers(-1, 2, (groups, y.channels // groups))
            nodes.append(Node("weights", RomWeights(weights, groups, y.pixels), (), ("w",)))
            vectors, ends = case.outputs[0], ("y0", "w")
        product = MatrixVector(groups, pixels)
        nodes.append(Node("product", product, ends, ("z",)))
        split = vectors.reshape(*vectors.shape[:-1], groups, 1, weights.shape[1])
        sums = (split * weights.reshape(groups, -1, weights.shape[1])).sum(axis=-1)
        expected, targets = {"z": sums.reshape(*vectors.shape[:-1], len(weights))}, ("z",)
        leader = "product"
    graph = with_nodes(Graph(op.kind, (), streams, tuple(streams), targets), nodes)
    if leader == "product":
        product_node = graph.nodes[-1]
        legal = product.folds(graph.ports(product_node))
        folds = tuple(fold for fold in legal if op.role is Role.LAYOUT or not product.interleaved(fold))
    return Network(graph, frames, expected, leader, folds)
