"""What must hold of a graph at each stage; every pass ends here."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Literal

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.graph import Entry, Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import Fold

Stage = Literal["imported", "forked", "folded"]

RECORDED = ("shape", "lo", "hi", "repeats", "bipolar")
"""Fields of a stream that its op infers."""


def check(graph: Graph, stage: Stage = "imported", folds: Mapping[str, Fold] | None = None) -> Graph:
    """Check the invariants of a stage and return the graph; raises GraphError naming what breaks one.

    imported: names are unique; every input of a node comes from an earlier node or is an input of the graph; the recorded
    intervals are those the ops infer; every stream has a writer, and has a reader or is an output; readouts and
    tensors fit their streams.
    forked: moreover every stream has exactly one reader, the host being the reader of an output.
    folded: moreover `folds` holds a legal fold for every node and for nothing else; every stream has the lanes that both
    its ends have under these; a node that folds as its reader has the reader's fold, the host's is one element a beat.
    """
    _check_nodes(graph)
    _check_readers(graph, stage)
    if stage == "folded":
        if folds is None:
            raise GraphError(f"{graph.name}: a folded graph is checked with its folds; none are given")
        _check_folds(graph, folds)
    else:
        for name, stream in graph.streams.items():
            if stream.lanes or stream.beat_pixels != 1:
                raise GraphError(f"{graph.name}: stream {name} has {stream.beat} lanes before the graph is folded")
    return graph


def _check_nodes(graph: Graph) -> None:
    if not graph.inputs or not graph.outputs:
        raise GraphError(
            f"{graph.name}: {len(graph.inputs)} inputs, {len(graph.outputs)} outputs; at least one of each"
        )
    for ends, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        twice = [name for name in ends if ends.count(name) > 1]
        if twice:
            raise GraphError(f"{graph.name}: the {what} {twice[0]} is named twice")
    known: set[str] = set()
    for name in graph.inputs:
        if name not in graph.streams:
            raise GraphError(f"{graph.name}: the input {name} is not recorded in the graph")
        known.add(name)
    names: set[str] = set()
    for node in graph.nodes:
        if node.name in names:
            raise GraphError(f"two nodes are called {node.name}; names must be unique")
        names.add(node.name)
        for name, stream in node.infer({name: graph.streams[name] for name in known}).items():
            if name in known:
                raise GraphError(f"{node} writes {name}, which another node writes as well")
            known.add(name)
            if name not in graph.streams:
                raise GraphError(f"{node}: its stream {name} is not recorded in the graph")
            recorded = graph.streams[name]
            if any(getattr(recorded, field) != getattr(stream, field) for field in RECORDED):
                raise GraphError(f"{node}: stream {name} is {recorded}, its op infers {stream}")
    for name in graph.outputs:
        if name not in known:
            raise GraphError(f"{graph.name}: no node writes the output {name}")
    for what, entries in (("a readout", graph.readouts), ("an end", graph.ends)):
        stray = sorted(set(entries) - set(graph.outputs))
        if stray:
            raise GraphError(f"{graph.name}: {what} for {stray[0]}, which is no output")
    stray = sorted(set(graph.entries) - set(graph.inputs))
    if stray:
        raise GraphError(f"{graph.name}: an entry for {stray[0]}, which is no input")
    for name, entry in graph.entries.items():
        _check_entry(graph, name, entry)
    for name, readout in graph.readouts.items():
        _check_readout(graph, name, readout)
    stray = sorted(set(graph.ties) - names)
    if stray:
        raise GraphError(f"{graph.name}: ties of {stray[0]}, which is no node")
    for name, ties in graph.ties.items():
        if any(len(tie) < 2 for tie in ties):
            raise GraphError(f"{graph.name}: a tie of {name} that names no row and input code")
    stray = sorted(set(graph.tensors) - known)
    if stray:
        raise GraphError(f"{graph.name}: a tensor for {stray[0]}, which is no stream")


def _check_entry(graph: Graph, name: str, entry: Entry) -> None:
    stream = graph.streams[name]
    if sorted(entry.axes) != list(range(len(stream.shape))) or prod(entry.shape) != stream.size:
        raise GraphError(f"{graph.name}: axes {entry.axes} of {name} do not make an input of shape {entry.shape} of it")
    for what, values in (("means", entry.mean), ("standard deviations", entry.std)):
        if len(values) not in (0, 1, stream.channels) or not np.isfinite(values).all():
            raise GraphError(
                f"{graph.name}: {len(values)} {what} of {name}; expected finite ones, one or one of each of "
                f"{stream.channels} channels"
            )
    if 0 in entry.std:
        raise GraphError(f"{graph.name}: a standard deviation of {name} is 0")


def _check_readout(graph: Graph, name: str, readout: Readout) -> None:
    stream = graph.streams[name]
    for what, values in (("scales", readout.scale), ("offsets", readout.offset)):
        if len(values) not in (1, stream.channels) or not np.isfinite(values).all():
            raise GraphError(
                f"{graph.name}: the readout of {name} has {len(values)} {what}; expected finite ones, one or one of each "
                f"of {stream.channels} channels"
            )
    whole = np.array_equal(np.sort(readout.order), np.arange(stream.size))
    if not whole or prod(readout.shape) != stream.size:
        raise GraphError(
            f"{graph.name}: the readout of {name} does not put {stream.size} elements in the order of an output of shape "
            f"{readout.shape}"
        )


def check_network(graph: Graph) -> Graph:
    """Check what holds of a whole network beyond `check`, and not of a part of one, and return it.

    The host sends and takes data, once a frame, and each input is computed with; weights come from a source of the graph
    and go to ports that take them, in as many groups. Raises GraphError naming what breaks one of these.
    """
    weights, producers = graph.weights(), graph.producers()
    for name in graph.inputs:
        if graph.streams[name].repeats > 1:
            raise GraphError(
                f"{graph.name}: the input {name} is sent {graph.streams[name].repeats} times; the host sends once"
            )
        if name in graph.outputs and not graph.consumers()[name]:
            raise GraphError(
                f"{graph.name}: the input {name} is an output and nothing reads it: there is nothing to compute; leave it out"
            )
    for name in graph.outputs:
        if name in weights:
            raise GraphError(
                f"{graph.name}: the output {name} is a stream of weights, which is the same for every frame"
            )
    for node in graph.nodes:
        for name, port in zip(node.inputs, node.op.inputs, strict=False):
            if port.weights != (name in weights):
                what = "takes weights" if port.weights else "takes no weights"
                raise GraphError(
                    f"{node}: its port {port.name} {what}; {name} is {'' if name in weights else 'no '}stream of them"
                )
            read = getattr(node.op, "groups", 1)
            if port.weights and (sent := getattr(producers[name].op, "groups", read)) != read:
                raise GraphError(
                    f"{node}: it reads weights in {read} groups, and {producers[name]} sends them in {sent}"
                )
    return graph


def _check_readers(graph: Graph, stage: Stage) -> None:
    readers = graph.consumers()
    written = [*graph.inputs, *(name for node in graph.nodes for name in node.outputs)]
    for name in written:
        count = len(readers[name]) + (name in graph.outputs)
        if not count:
            raise GraphError(f"{graph.name}: nobody reads the stream {name}")
        if stage != "imported" and count > 1:
            shown = [node.name for node in readers[name]] + ["the host"] * (name in graph.outputs)
            raise GraphError(
                f"{graph.name}: stream {name} has {count} readers ({', '.join(shown)}); one is allowed, fork it first"
            )
    stray = sorted(set(graph.streams) - set(written))
    if stray:
        raise GraphError(f"{graph.name}: nothing writes the stream {stray[0]}")


def _check_folds(graph: Graph, folds: Mapping[str, Fold]) -> None:
    for node in graph.nodes:
        if node.name not in folds:
            raise GraphError(f"{node}: no fold is given for it")
    stray = sorted(set(folds) - {node.name for node in graph.nodes})
    if stray:
        raise GraphError(f"{graph.name}: a fold for {stray[0]}, which is no node")
    readers = graph.consumers()
    for node in graph.nodes:
        ports, fold = graph.ports(node), folds[node.name]
        if node.op.folds_with_reader:
            _check_follower(node, fold, readers, folds)
        else:
            node.op.check_folds(node.name, ports, fold)
        beats_in, beats_out = node.op.beats(ports, fold)
        ends = zip(node.inputs + node.outputs, beats_in + beats_out, strict=True)
        for name, beat in ends:
            recorded = graph.streams[name].beat
            if recorded != beat:
                raise GraphError(f"{node}: stream {name} has {recorded} lanes; the fold '{fold}' asks for {beat}")
    for name in (*graph.inputs, *graph.outputs):
        if graph.streams[name].lanes < 1:
            raise GraphError(f"{graph.name}: stream {name} has no lanes")


def _check_follower(node: Node, fold: Fold, readers: Mapping[str, list[Node]], folds: Mapping[str, Fold]) -> None:
    found = readers[node.outputs[0]]
    while found and found[0].op.only_lanes:
        found = readers[found[0].outputs[0]]
    reader, expected = (found[0], folds[found[0].name].plain) if found else ("the host", Fold())
    if fold != expected:
        raise GraphError(f"{node}: has the fold '{fold}'; it folds as its reader, {reader}: '{expected}'")
