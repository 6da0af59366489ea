"""The target: a folder with a list of the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.folders import check_replaceable, whole_folder
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import Pass
from muxflow.dataflow.packages import Package
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import Written


@dataclass(frozen=True)
class ToyOptions:
    """How to list."""

    columns: int = field(default=1, metadata={"help": "Nodes a line."})

    def __post_init__(self) -> None:
        if self.columns < 1:
            raise MuxflowError(f"columns {self.columns}; supported: at least 1")


class ToyTarget:
    """A list."""

    name = "toy"
    title = "a list of the nodes"
    options = ToyOptions
    implementations: Implementations = KERNELS
    packages: tuple[Package, ...] = ()
    marker = "nodes.txt"
    project = "a list of nodes"
    usage = "read it"

    def passes(self, options: ToyOptions) -> tuple[Pass, ...]:
        return ()

    def check(self, options: ToyOptions, board: str, path: Path) -> None:
        check_replaceable(path, self.marker, self.project)

    def check_graph(self, graph: Graph, options: ToyOptions, board: str) -> None:
        pass

    def write(self, design: Design, path: Path, options: ToyOptions, model: Mapping[str, bytes]) -> Written:
        kinds = [node.op.kind for node in design.graph.nodes]
        lines = [" ".join(kinds[at : at + options.columns]) for at in range(0, len(kinds), options.columns)]
        with whole_folder(path) as folder:
            (folder / "nodes.txt").write_text("".join(f"{line}\n" for line in lines))
        return Written(path, facts={"nodes": str(len(kinds))})


TARGET = ToyTarget()
