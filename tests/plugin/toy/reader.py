"""The reader: a JSON file with an input and the limits of magnitudes that follow each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.frontend.model import ImportOptions
from toy.operation import Magnitude


class ToyExecution:
    """The file's own arithmetic."""

    title = name = "toy"

    def __init__(self, path: Path, graph: Graph) -> None:
        self.limits = json.loads(path.read_text())["limits"]
        self.ends = (*graph.inputs, *graph.outputs)

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, IntArray]:
        source, sink = self.ends
        return {sink: np.minimum(abs(codes[source]), min(self.limits))}


class ToyReader:
    """Files that end in .toy."""

    title = "toy"
    suffixes = (".toy",)
    packages = ()
    executes = True

    def recognises(self, path: Path) -> bool:
        return path.suffix == ".toy"

    def read(self, path: Path, options: ImportOptions) -> Graph:
        try:
            model = json.loads(path.read_text())
            stream = Stream(tuple(model["shape"]), model["lo"], model["hi"])
            limits = model["limits"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MuxflowError(f"{path}: not a toy model ({error!r})") from error
        names = ["x", *(f"m{place}" for place in range(len(limits)))]
        nodes = [
            Node(f"magnitude{place}", Magnitude(limit), (names[place],), (names[place + 1],))
            for place, limit in enumerate(limits)
        ]
        return with_nodes(Graph(path.stem, (), {"x": stream}, ("x",), (names[-1],)), nodes)

    def execution(self, path: Path, graph: Graph) -> AbstractContextManager[Any]:
        return nullcontext(ToyExecution(path, graph))


FRONTEND = ToyReader()
