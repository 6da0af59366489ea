"""C++ names for what a graph calls by any text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from muxflow.dataflow.fit.folded import Folded, converter_chains
from muxflow.hls.reserved import RTL_WORDS, WORDS, is_reserved, is_type

LONGEST_IDENTIFIER = 100
"""Most characters of an identifier, before a number is appended: files are named after some."""


def identifier(name: str) -> str:
    """Make a C++ identifier for a node or stream name."""
    text = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "node"
    text = re.sub(r"_{2,}", "_", text)[:LONGEST_IDENTIFIER].rstrip("_")
    return f"n_{text}" if text[0].isdigit() or is_reserved(text) else text


def identifiers(names: Iterable[str], reserved: Iterable[str] = (), *, typed: bool = False) -> dict[str, str]:
    """Make identifiers for names, a number appended where two would be the same or one is reserved.

    Two that differ in case only count as the same: files and macros are named after them. `typed`: each with "_t" after it
    names a type too.
    """
    taken = {name.lower() for name in reserved}
    found = {}
    for name in names:
        base = identifier(name)
        base = candidate = f"n_{base}" if typed and is_type(base) else base
        number = 2
        while candidate.lower() in taken:
            candidate = f"{base}_{number}"
            number += 1
        taken.add(candidate.lower())
        found[name] = candidate
    return found


def comment(text: str) -> str:
    """Write any text as one line of a comment in C++ or Tcl, without what ends the line or joins it to the next."""
    return re.sub(r"[^ -~]|[\\?]", "_", text)


@dataclass(frozen=True)
class Names:
    """C++ names of a folded graph.

    The top function, of each stream its variable and its type, of each outer stream its port, of each node its function, of
    each node with run-time state its seed; `outer`: names that nothing else may have.
    """

    top: str
    variables: dict[str, str]
    types: dict[str, str]
    ports: dict[str, str]
    functions: dict[str, str]
    seeds: dict[str, str]
    outer: frozenset[str]


LOAD_PORTS = ("weights", "checksum")
"""The ports of a project whose weights are loaded: what takes the words, and what gives the checksum."""


def load_streams(memories: int) -> list[str]:
    """Name the streams of so many memories that are loaded: the port, those between them, the other port."""
    return [LOAD_PORTS[0], *(f"load_{number}" for number in range(1, memories)), LOAD_PORTS[1]] if memories else []


def names_of(folded: Folded) -> Names:
    """Choose the names that a project uses; no two of them are the same."""
    graph = folded.graph
    streams = identifiers(graph.streams, typed=True)
    variables = {name: f"s_{text}" for name, text in streams.items()}
    types = {name: f"{text}_t" for name, text in streams.items()}
    origin = {name: start for start, chain in converter_chains(graph).items() for name in chain}
    ports: dict[str, str] = {}
    for ends, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        # The names before width converters: they do not change with the folds.
        texts = identifiers(origin[name] for name in ends)
        ports |= {name: what if len(ends) == 1 else f"{what}_{texts[origin[name]]}" for name in ends}
    outer = {*variables.values(), *types.values(), *ports.values()}
    outer.update(load_streams(sum(node.op.loaded for node in graph.nodes)))
    (top,) = identifiers([graph.name], outer | RTL_WORDS | WORDS).values()
    outer |= {top, f"{top}_design"}
    functions = identifiers((node.name for node in graph.nodes), outer)
    outer.update(functions.values())
    keys = {
        node.name: f"{functions[node.name]} {'anew' if node.op.carries else 'seed'}"
        for node in graph.nodes
        if node.op.carries or node.op.with_registers() is not None
    }
    texts = identifiers(keys.values(), outer)
    seeds = {name: texts[key] for name, key in keys.items()}
    return Names(top, variables, types, ports, functions, seeds, frozenset(outer | set(seeds.values())))
