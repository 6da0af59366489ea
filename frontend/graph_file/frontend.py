"""The reader of Muxflow's own graph files."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.file import holds_graph, read_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import Package
from muxflow.frontend.model import ImportOptions


class GraphFile:
    """Integer graphs, saved by `write_graph`: they come from no other model."""

    title = "a graph saved by Muxflow"
    suffixes = (".npz",)
    packages: tuple[Package, ...] = ()
    executes = False

    def recognises(self, path: Path) -> bool:
        """See `Frontend`."""
        return holds_graph(path)

    def read(self, path: Path, options: ImportOptions) -> Graph:
        """See `Frontend`; the options say nothing of a graph."""
        return read_graph(path)

    def execution(self, path: Path, graph: Graph) -> NoReturn:
        """See `Frontend`."""
        raise MuxflowError(f"{path}: a graph saved by Muxflow has no other model to compare it with")


FRONTEND = GraphFile()
