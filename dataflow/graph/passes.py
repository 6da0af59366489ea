"""Passes: functions Graph -> Graph, checked after each one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.edit import free_name, with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.ranking import ordering
from muxflow.dataflow.graph.spec import check
from muxflow.dataflow.graph.stream import LEAST, width
from muxflow.dataflow.limits import listed
from muxflow.dataflow.op import IntArray, Op
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.top_k import TopK

Pass = Callable[[Graph], Graph]


def remove_identity_thresholds(graph: Graph) -> Graph:
    """Remove quantizers on codes that they do not change: x --> Threshold(code -> code) --> y   becomes   x --> y.

    It stays where x is an end of the graph too and y an output: no stream stands for two of the host's ports.
    """
    renamed: dict[str, str] = {}
    nodes = []

    def removable(node: Node) -> bool:
        if not isinstance(node.op, Threshold) or not node.op.is_identity(graph.ports(node).inputs[0]):
            return False
        ends = {*graph.inputs, *(renamed.get(name, name) for name in graph.outputs)}
        return node.outputs[0] not in graph.outputs or node.inputs[0] not in ends

    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        if removable(node):
            renamed[node.outputs[0]] = node.inputs[0]
        else:
            nodes.append(node)
    # A tensor stands for the stream that is left only where one code means the same in both.
    tensors = {
        kept: tensor
        for stream, tensor in graph.tensors.items()
        if graph.streams[stream].scale == graph.streams[kept := renamed.get(stream, stream)].scale
    }
    return _with_outputs(graph, nodes, renamed, tensors=tensors)


def _with_outputs(graph: Graph, nodes: list[Node], renamed: Mapping[str, str], **changes: Any) -> Graph:
    """Rebuild a graph whose outputs have new names."""
    return with_nodes(graph, nodes, **{**graph.renamed_outputs(lambda name: renamed.get(name, name)), **changes})


def insert_forks(graph: Graph) -> Graph:
    """Give every stream one reader: x --> a, b (, c ...)   becomes   x --> Fork --> x_0 --> a, x_1 --> b.

    A stream that is also the graph's output counts the host as a reader, and what the host reads keeps the name; an
    input keeps its own. More than three readers take a tree.
    A node that folds as its reader (weights, windows) is copied for each reader and not forked, because the order of
    its beats is its reader's.
    """
    graph = _copy_followers(graph)
    readers = graph.consumers()
    pending: dict[str, list[str]] = {}
    nodes: list[Node] = []
    streams, names = set(graph.streams), {node.name for node in graph.nodes}

    def fork(name: str) -> None:
        count = len(readers[name]) + (name in graph.outputs)
        if count < 2:
            return
        free = [name]
        while len(free) < count:
            source = free.pop(0)
            ways = min(3, count - len(free))
            outputs = tuple(free_name(f"{source}_{way}", streams) for way in range(ways))
            nodes.append(Node(free_name(f"{source}_fork", names), Fork(ways), (source,), outputs))
            free += outputs
        pending[name] = sorted(free)

    for name in graph.inputs:
        fork(name)
    for node in graph.nodes:
        inputs = tuple(pending[name].pop(0) if name in pending else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        for name in node.outputs:
            fork(name)
    renamed: dict[str, str] = {}
    swapped: dict[str, str] = {}
    for name in graph.outputs:
        if name in pending:
            leaf = pending[name].pop(0)
            if name in graph.inputs:
                renamed[name] = leaf
            else:
                swapped |= {name: leaf, leaf: name}
    nodes = [
        replace(
            node,
            inputs=tuple(swapped.get(name, name) for name in node.inputs),
            outputs=tuple(swapped.get(name, name) for name in node.outputs),
        )
        for node in nodes
    ]
    return _with_outputs(graph, nodes, renamed, stage="forked")


def _copy_followers(graph: Graph) -> Graph:
    """Copy followers: x --> follower --> a, b   becomes   x --> follower --> a, x --> follower_1 --> b."""
    nodes = list(graph.nodes)
    streams, names = set(graph.streams), {node.name for node in graph.nodes}
    for node in reversed(graph.nodes):
        readers = [reader for reader in nodes if node.outputs[0] in reader.inputs]
        spare = [*readers] if node.outputs[0] in graph.outputs else readers[1:]
        if not node.op.folds_with_reader or not spare:
            continue
        for number, reader in enumerate(spare, 1):
            copy = replace(
                node,
                name=free_name(f"{node.name}_{number}", names),
                outputs=(free_name(f"{node.outputs[0]}_{number}", streams),),
            )
            inputs = tuple(copy.outputs[0] if name == node.outputs[0] else name for name in reader.inputs)
            nodes[nodes.index(reader)] = replace(reader, inputs=inputs)
            nodes.insert(nodes.index(node) + 1, copy)
    return with_nodes(graph, nodes) if len(nodes) > len(graph.nodes) else graph


def append_arg_max(graph: Graph) -> Graph:
    """Append ArgMax to logits: the class index leaves the chip in place of the logits.

    Classes that differ in scale or offset are brought onto one grid first, see `ranking`. Raises GraphError where there is
    none, or where the logits leave in another order than the model's.
    """
    return _append(graph, "arg_max", ArgMax(), "label")


def append_top_k(graph: Graph, k: int) -> Graph:
    """Append TopK to logits: the indices of the k largest logits, largest first, leave the chip.

    Raises GraphError as `append_arg_max` does, and when there are fewer than `k` logits.
    """
    return _append(graph, "top_k", TopK(k), "labels")


def _append(graph: Graph, name: str, op: Op, stream: str) -> Graph:
    """Put an op that orders logits after every output; names are numbered where there are several."""
    nodes, outputs, ends = list(graph.nodes), [], {}
    streams, names = set(graph.streams), {node.name for node in graph.nodes}
    for number, output in enumerate(graph.outputs):
        suffix = f"_{number}" if len(graph.outputs) > 1 else ""
        outputs.append(free_name(f"{stream}{suffix}", streams))
        source = output
        for part, before in _ordering(graph, output):
            made = free_name(f"{output}_{part}", streams)
            nodes.append(Node(free_name(f"{output}_{part}", names), before, (source,), (made,)))
            source = made
        nodes.append(Node(free_name(f"{name}{suffix}", names), op, (source,), (outputs[-1],)))
        if output in graph.ends:
            ends[outputs[-1]] = replace(graph.ends[output], rest="")
    return with_nodes(graph, nodes, outputs=tuple(outputs), readouts={}, ends=ends)


def _ordering(graph: Graph, output: str) -> list[tuple[str, Op]]:
    """List the ops after which the largest code of an output is the largest logit, with a name for each.

    Raises GraphError where there are none, or where there are no logits.
    """
    end, readout = graph.ends.get(output), graph.readouts.get(output)
    if end is not None and not end.ordered:
        raise GraphError(
            f"{graph.name}: the host computes {end.rest}, so there are no logits on the chip; quantize that layer too, or "
            "choose the class on the host"
        )
    if end is not None and readout is None:
        raise GraphError(f"{graph.name}: the model gives the class index itself; leave the option out")
    if why := graph.why_no_class(output):
        raise GraphError(f"{graph.name}: {why}, so there are no logits to order; leave the option out")
    try:
        return [] if readout is None else ordering(readout, graph.streams[output])
    except GraphError as error:
        raise GraphError(f"{graph.name}: {error}") from error


def writable_seeds(graph: Graph) -> Graph:
    """Make generated weights writable: intervals downstream hold for any start of the ring.

    What `ProjectOptions(seeds="writable")` asks of a graph before it is fitted; accumulators grow by a few bits.
    Raises GraphError when no weights are generated.
    """
    nodes = [replace(node, op=node.op.with_registers() or node.op) for node in graph.nodes]
    if not any(node.op.registers() for node in nodes):
        raise GraphError(f"{graph.name}: no weights are generated, so there is no seed to write")
    return with_nodes(graph, nodes)


def carry_state(graph: Graph) -> Graph:
    """Let recurrent layers go on from frame to frame, for a stream without end: LstmCell   becomes   LstmCell, stateful.

    Raises GraphError where there is no such layer.
    """
    nodes = [replace(node, op=node.op.carried_on() or node.op) for node in graph.nodes]
    if not any(node.op.carries for node in nodes):
        raise GraphError(f"{graph.name}: no layer is recurrent, so there is no state to carry on; leave stateful out")
    return with_nodes(graph, nodes)


def load_weights(graph: Graph, names: Sequence[str] = ()) -> Graph:
    """Load stored weights at run time: RomWeights --> w   becomes   LoadedWeights --> w, of any weights of as many bits.

    What `ProjectOptions(weights="loaded")` asks of a graph before it is fitted; accumulators grow, thresholds stay: those
    of an import hold for all weights that may be loaded where it knew of them (`muxflow.load(path, loaded=names)`).
    `names`: of the weights' nodes, or of those that read them; all weights without any. Those that are loaded stay so.
    Raises GraphError for a name that is none of these, or where there are no weights.
    """
    names = listed(names, f"{graph.name}: names")
    readers = graph.consumers()
    called = {node.name: {node.name, *(reader.name for reader in readers[node.outputs[0]])} for node in graph.nodes}
    stored = {node.name: node.op for node in graph.nodes if isinstance(node.op, RomWeights)}
    there = {name for node in stored for name in called[node]}
    missing = [name for name in names if name not in there]
    if missing or not stored:
        if not missing or not stored:
            raise GraphError(f"{graph.name}: there are no weights to load")
        near = get_close_matches(missing[0], sorted(there), n=1)
        layers = (reader.name for node in graph.nodes if node.name in stored for reader in readers[node.outputs[0]])
        raise GraphError(
            f"{graph.name}: no weights {missing[0]!r}{f' (is it {near[0]}?)' if near else ''}; those of these nodes may be "
            f"loaded: {', '.join(layers)}"
        )
    changed = {name: op for name, op in stored.items() if not op.loaded and (not names or called[name] & set(names))}
    nodes = [
        replace(node, op=LoadedWeights.of(changed[node.name])) if node.name in changed else node for node in graph.nodes
    ]
    return with_nodes(graph, nodes)


CLEAN_UP: tuple[Pass, ...] = (remove_identity_thresholds,)
"""Passes that every imported graph goes through."""


def run_passes(graph: Graph, passes: Sequence[Pass]) -> Graph:
    """Apply passes in order and check the graph after each."""
    for one in passes:
        graph = check(one(graph))
    return graph


def rising_thresholds(graph: Graph) -> Graph:
    """Turn falling thresholds of stored weights: W x --> Threshold(falling)   becomes   -W x --> Threshold(rising), by row.

    Back ends whose thresholds only rise take such graphs. A product that something else reads too, generated weights,
    and weights whose negation takes more bits stay as they are.
    """
    producers, readers = graph.producers(), graph.consumers()
    changed: dict[str, Op] = {}

    def read_once(stream: str) -> bool:
        return len(readers[stream]) == 1 and stream not in graph.outputs

    for node in graph.nodes:
        if not isinstance(node.op, Threshold) or not node.op.falling.any():
            continue
        product = producers.get(node.inputs[0])
        if product is None or not isinstance(product.op, MatrixVector) or not read_once(node.inputs[0]):
            continue
        source = producers[product.inputs[1]]
        if not isinstance(source.op, RomWeights) or not read_once(product.inputs[1]):
            continue
        falls = np.broadcast_to(node.op.falling != 0, len(source.op.weights))
        weights = np.where(falls[:, None], -source.op.weights, source.op.weights)
        if len(node.op.falling) not in (1, len(weights)) or _bits(weights) > _bits(source.op.weights):
            continue
        if source.op.weights.min() == LEAST or node.op.thresholds.min() < LEAST + 2:
            continue  # 64 bits do not hold the negation
        # The code counts the thresholds above x, t >= x + 1, which are the 1 - t up to -x.
        thresholds = np.where(
            node.op.falling[:, None] != 0, np.sort(1 - node.op.thresholds, axis=1), node.op.thresholds
        )
        changed[node.name] = replace(node.op, thresholds=thresholds, falling=np.zeros_like(node.op.falling))
        changed[source.name] = replace(source.op, weights=weights)
    ties = dict(graph.ties)
    for node in graph.nodes:
        if node.name in changed and isinstance(node.op, Threshold):
            falls = node.op.falling
            ties[node.name] = tuple(
                (row, -x if falls[row] else x, *codes) for row, x, *codes in ties.get(node.name, ())
            )
    nodes = [replace(node, op=changed.get(node.name, node.op)) for node in graph.nodes]
    return with_nodes(graph, nodes, ties=ties)


def _bits(values: IntArray) -> int:
    return width(int(values.min()), int(values.max()))[0]
