"""Weights that are loaded at run time: the chain of memories, the words that fill them, and files of such words."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from muxflow.board.driver.weights import LoadedNode, WeightMemories
from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.graph.codec import encode_op, to_json
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.emit import Load
from muxflow.hls.kernels.loaded_weights import WORD
from muxflow.hls.names import LOAD_PORTS, load_streams

if TYPE_CHECKING:
    from muxflow.board.driver.packing import Words

LOAD_BEAT = "muxflow::LoadBeat"
"""C++ type of a word between two memories."""


@dataclass(frozen=True)
class Loader:
    """One memory of the chain: its source node, the C++ names of the streams before and after it, its words."""

    node: Node
    takes: str
    gives: str
    words: int
    after: int

    @property
    def emitted(self) -> Load:
        """Its place as the emitter knows it."""
        takes, gives = ((name, "axi_word" if name in LOAD_PORTS else LOAD_BEAT) for name in (self.takes, self.gives))
        return Load(takes, gives, self.after, self.takes in LOAD_PORTS)


def loaders(folded: Folded) -> tuple[Loader, ...]:
    """List the memories that are loaded, in the order of the chain, which is the graph's."""
    nodes = [node for node in folded.graph.nodes if isinstance(node.op, LoadedWeights)]
    words = [_beats(folded, node) * _parts(folded, node) for node in nodes]
    behind = [sum(words) - so_far for so_far in accumulate(words)]
    ends = pairwise(load_streams(len(nodes)))
    return tuple(
        Loader(node, takes, gives, own, after)
        for node, (takes, gives), own, after in zip(nodes, ends, words, behind, strict=True)
    )


def _beats(folded: Folded, node: Node) -> int:
    op = node.op
    assert isinstance(op, LoadedWeights)
    return op.weights.size // folded.folds[node.name].parallel


def _parts(folded: Folded, node: Node) -> int:
    """Count the words of a beat."""
    return -(-folded.graph.streams[node.outputs[0]].beat_bits // WORD)


def weight_words(folded: Folded) -> Words:
    """Give the words that fill the memories of a folded graph with its own weights, one memory after the other."""
    return np.concatenate([np.zeros(0, np.uint64), *(_words(folded, one.node) for one in loaders(folded))])


def _words(folded: Folded, node: Node) -> Words:
    op, stream = node.op, folded.graph.streams[node.outputs[0]]
    assert isinstance(op, LoadedWeights)
    tiles = op.tiles(folded.folds[node.name])
    codes: IntArray = (tiles > 0).astype(np.int64) if stream.bipolar else tiles
    flags = ((codes[:, :, None] >> np.arange(stream.bits)) & 1).astype(np.uint8).reshape(len(codes), -1)
    padded = np.zeros((len(flags), WORD * _parts(folded, node)), np.uint8)
    padded[:, : flags.shape[1]] = flags
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").reshape(-1)


def with_words(graph: Graph, folded: Folded, words: Words) -> Graph:
    """Give `graph`, which `folded` was made of, the weights that such words are.

    Raises MuxflowError naming the node whose memory holds no such weight.
    """
    contents: dict[str, IntArray] = {}
    first = 0
    for one in loaders(folded):
        contents[one.node.name] = _weights(folded, one.node, words[first : first + one.words])
        first += one.words
    return with_contents(graph, contents)


def with_contents(graph: Graph, contents: Mapping[str, IntArray]) -> Graph:
    """Give loaded memories other weights, by node; raises MuxflowError naming a node that does not hold them."""

    def filled(node: Node) -> Node:
        if node.name not in contents:
            return node
        assert isinstance(node.op, LoadedWeights)
        try:
            return replace(node, op=node.op.with_weights(contents[node.name]))
        except GraphError as error:
            raise MuxflowError(f"{node.name}: {error}") from error

    nodes = [filled(node) for node in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def _weights(folded: Folded, node: Node, words: Words) -> IntArray:
    """Read the weights of a memory from its words, as `_words` gave them."""
    op, stream = node.op, folded.graph.streams[node.outputs[0]]
    assert isinstance(op, LoadedWeights)
    beats = np.ascontiguousarray(words, "<u8").reshape(-1, _parts(folded, node)).view(np.uint8)
    flags = np.unpackbits(beats, axis=1, bitorder="little")[:, : stream.beat_bits].reshape(-1, stream.bits)
    codes = flags.astype(np.int64) @ (1 << np.arange(stream.bits, dtype=np.int64))
    if stream.bipolar:
        codes = 2 * codes - 1
    elif stream.signed:
        codes -= (codes >> (stream.bits - 1)) << stream.bits
    places = replace(
        op, weights=np.arange(op.weights.size).reshape(op.weights.shape), lo=0, hi=op.weights.size, bipolar=False
    )
    weights = np.empty(op.weights.size, np.int64)
    weights[places.tiles(folded.folds[node.name]).reshape(-1)] = codes
    return weights.reshape(op.weights.shape)


def memories_of(folded: Folded) -> WeightMemories:
    """Describe the memories as a weight file and `interface.json` do."""
    nodes = tuple(LoadedNode(one.node.name, str(folded.folds[one.node.name]), one.words) for one in loaders(folded))
    return WeightMemories(folded.graph.name, _fingerprint(folded), nodes)


def _fingerprint(folded: Folded) -> str:
    """Hash all that the words depend on and that computes with them, and how the host reads what comes of it."""
    digest = hashlib.sha256()
    for node in folded.graph.nodes:
        op = node.op
        if isinstance(op, LoadedWeights):
            op = op.with_weights(np.full(op.weights.shape, op.hi))
        entry = encode_op(op, lambda _path, array: [list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()])
        ends = [node.inputs, node.outputs, [str(folded.graph.streams[name]) for name in node.outputs]]
        digest.update(json.dumps([entry, to_json(folded.folds[node.name]), ends], sort_keys=True).encode() + b"\0")
    graph = folded.graph
    digest.update(json.dumps([_meaning(graph, name) for name in (*graph.inputs, *graph.outputs)]).encode())
    return digest.hexdigest()


def same_topology(graph: Graph, other: Graph) -> dict[str, IntArray]:
    """Find the weights of another network for the loaded memories of `graph`, by node.

    Both before width converters and forked; which weights `other` stores or loads, and names of nodes, do not matter. Raises
    MuxflowError naming the first node in which they differ, or all whose stored weights differ: all but loaded weights is
    part of the bitstream.
    """
    contents: dict[str, IntArray] = {}
    stored: list[str] = []
    readers = graph.consumers()
    if len(graph.nodes) != len(other.nodes):
        raise MuxflowError(
            f"{other.name} has {len(other.nodes)} nodes, the design of {graph.name} {len(graph.nodes)}; {SAME}"
        )
    places, theirs = _places(graph), _places(other)
    for node, given in zip(graph.nodes, other.nodes, strict=True):
        op, new = node.op, given.op
        wired = [places[name] for name in node.inputs] == [theirs[name] for name in given.inputs]
        if isinstance(op, RomWeights) and isinstance(new, RomWeights):
            alike = (op.weights.shape, op.groups, op.repeats) == (new.weights.shape, new.groups, new.repeats)
            contents[node.name] = new.weights
            if alike and isinstance(op, LoadedWeights) and isinstance(new, LoadedWeights):
                _check_memory(op, new, readers[node.outputs[0]][0].name, other.name)
            if not op.loaded and alike and (op.weights != new.weights).any():
                stored.append(readers[node.outputs[0]][0].name)
        else:
            alike = op == new
        if not (alike and wired):
            sizes = [str(one.streams[name]) for one, name in ((other, given.outputs[0]), (graph, node.outputs[0]))]
            what = f", which gives {sizes[0]} in place of {sizes[1]}," if sizes[0] != sizes[1] else ""
            raise MuxflowError(
                f"{given.name} ({new.kind}) of {other.name}{what} is not {node.name} ({op.kind}) of the design; {SAME}"
            )
    if stored:
        loaded = [readers[node.outputs[0]][0].name for node in graph.nodes if node.op.loaded]
        raise MuxflowError(
            f"{other.name} has other weights in {', '.join(stored)}, which the design of {graph.name} stores; build it with "
            f"--weights {shlex.quote(','.join((*loaded, *stored)))}"
        )
    contents = {node.name: contents[node.name] for node in graph.nodes if node.op.loaded}
    ends = [[places[name] for name in graph.outputs], [theirs[name] for name in other.outputs]]
    shapes = [[str(one.streams[name]) for name in one.inputs] for one in (graph, other)]
    if ends[0] != ends[1] or shapes[0] != shapes[1]:
        raise MuxflowError(f"{other.name}: other inputs or outputs than the design of {graph.name}; {SAME}")
    for held, met in zip((*graph.inputs, *graph.outputs), (*other.inputs, *other.outputs), strict=True):
        if _meaning(graph, held) != _meaning(other, met):
            raise MuxflowError(
                f"{met} of {other.name}: its codes stand for other numbers than those of {held} of the design, by another "
                f"scale or bias, or in another order; the driver keeps those of the design; {SAME}"
            )
    return contents


def _meaning(graph: Graph, name: str) -> object:
    """Give all by which the host reads an output's codes, or makes an input's."""
    if name in graph.outputs:
        return to_json(graph.readouts.get(name))
    return [graph.streams[name].scale, graph.streams[name].offset, to_json(graph.entries.get(name))]


SAME = (
    "only loaded weights may differ: thresholds, scales and stored weights are part of the bitstream. Build the network as a "
    "project of its own"
)


def _check_memory(memory: LoadedWeights, given: LoadedWeights, reader: str, network: str) -> None:
    """Raise MuxflowError naming the reader of a memory for weights of other bits: intervals after it hold for its own."""
    held, met = ((one.lo, one.hi, one.bipolar) for one in (memory, given))
    if held != met:
        spans = ["-1 and +1" if bipolar else f"[{lo}, {hi}]" for lo, hi, bipolar in (met, held)]
        raise MuxflowError(
            f"{reader}: {network} has weights of {spans[0]}, the memory of the design holds those of {spans[1]}; {SAME}"
        )


def _places(graph: Graph) -> dict[str, tuple[int, int]]:
    """Give each stream the number of the node that writes it, and its place there; the inputs come first."""
    found = {name: (-1, number) for number, name in enumerate(graph.inputs)}
    return found | {name: (i, number) for i, node in enumerate(graph.nodes) for number, name in enumerate(node.outputs)}
