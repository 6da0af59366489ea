"""Shared by the board's tests: a small project, and stand-ins of the vendor's programs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from muxflow.board.board import find_board
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks, load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project

STANDIN = Path(__file__).parent / "standin"
sys.path.insert(0, str(STANDIN))


@pytest.fixture
def make_project(tmp_path):
    """`make_project(board, tool, control)`: a written project of one small layer."""

    def make(board="pynq-z2", tool="vitis_hls", control="ap_ctrl_none", seed=4, name="dense", weights="stored"):
        rng = np.random.default_rng(seed)
        nodes = [
            Node("rom", RomWeights(rng.integers(-2, 2, (6, 40))), (), ("w",)),
            Node("fc", MatrixVector(), ("x", "w"), ("sums",)),
            Node("act", Threshold(np.sort(rng.integers(-60, 60, (6, 3)), axis=1), [0] * 6), ("sums",), ("y",)),
        ]
        graph = with_nodes(Graph("dense", (), {"x": Stream((1, 1, 40), 0, 7)}, ("x",), ("y",)), nodes)
        if weights == "loaded":
            graph = load_weights(graph)
        chosen = find_board(board)
        design = build_design(
            insert_forks(graph),
            {"fc": Fold(1, 10), "act": Fold(2)},
            KERNELS,
            device=chosen.device,
            board=chosen.name,
            clock_mhz=chosen.clock_mhz,
        )
        return write_project(design, tmp_path / "build" / name, options=ProjectOptions(tool, control, weights=weights))

    return make


@dataclass
class Tools:
    """Stand-in programs in one folder."""

    folder: Path
    pids: Path

    def behave(self, **behaviour):
        """How the programs behave: see standin_tools.py."""
        (self.folder / "bin" / "behaviour.json").write_text(json.dumps(behaviour))

    def calls(self):
        """(program, script or step) of every call since the last one, in order."""
        log = self.folder / "bin" / "calls.log"
        if not log.exists():
            return []
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        log.unlink()
        return [
            (name, next(word for word in words if word.endswith((".tcl", "sim", "package")) or word == "-c"))
            for name, *words in lines
        ]


@pytest.fixture
def make_tools(tmp_path, monkeypatch):
    """`make_tools(*names, **behaviour)`: stand-ins with these names."""
    made = []

    def make(*names, **behaviour):
        folder = tmp_path / f"tools{len(made)}"
        (folder / "bin").mkdir(parents=True)
        for name in names:
            program = folder / "bin" / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN / "standin_tools.py"}" "$0" "$@"\n')
            program.chmod(0o755)
        tools = Tools(folder, tmp_path / "pids")
        tools.behave(**behaviour)
        monkeypatch.setenv("STANDIN_PIDS", str(tools.pids))
        made.append(tools)
        return tools

    return make
