"""Networks of one topology whose weights are loaded, and projects of them."""

from dataclasses import replace

import numpy as np

import muxflow
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks, load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project

LOADED = ProjectOptions(weights="loaded")
ULTRA = Device("xck26-sfvc784-2LV-c", lut=10**5, ff=10**6, bram18=50, dsp=100, uram=64)


def network(seed=0, name="net", limit=9):
    """Binary weights of a window, wide weights of 9 bits over a residual join, and ternary ones that stay stored."""
    rng = np.random.default_rng(seed)

    def drawn(lo, hi, *shape):
        values = rng.integers(lo, hi + 1, shape)
        values.flat[:2] = lo, hi
        return values

    signs = 2 * rng.integers(0, 2, (6, 36)) - 1
    signs.flat[:2] = -1, 1
    nodes = [
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), ("x",), ("v",)),
        Node("rom1", RomWeights(signs, 1, 20), (), ("w1",)),
        Node("conv", MatrixVector(1, 9), ("v", "w1"), ("a",)),
        Node("act", Threshold([[-limit, 0, limit]] * 6, [0] * 6), ("a",), ("b",)),
        Node("rom2", RomWeights(drawn(-200, 201, 8, 6), 1, 20), (), ("w2",)),
        Node("wide", MatrixVector(), ("b", "w2"), ("c",)),
        Node("rom3", RomWeights(np.arange(-12, 36).reshape(8, 6) % 3 - 1, 1, 20), (), ("w3",)),
        Node("side", MatrixVector(), ("b", "w3"), ("d",)),
        Node("join", AddJoin(), ("c", "d"), ("y",)),
    ]
    return with_nodes(Graph(name, (), {"x": Stream((4, 5, 4), 0, 3)}, ("x",), ("y",)), nodes)


FOLDS = {"conv": Fold(2, 4), "act": Fold(2), "wide": Fold(8, 3), "side": Fold(4, 3), "join": Fold(4)}
"""Of `wide`: beats of 216 bits, four words each."""


def forked(seed=0, **options):
    return insert_forks(load_weights(network(seed, **options), ["conv", "rom2"]))


def built(graph, folder, folds=FOLDS, **options):
    folds = {node.name: folds.get(node.name, Fold()) for node in graph.nodes if not node.op.folds_with_reader}
    design = build_design(graph, folds, KERNELS, device=ULTRA, board="b", clock_mhz=100)
    return write_project(design, folder, options=replace(LOADED, **options))


def file_of(project, seed, path):
    """A weight file of another network for a project."""
    muxflow.Project(project).write_weights(network(seed, name="another"), path)
    return path


def built_stored(folder):
    graph = insert_forks(network())
    folds = {node.name: FOLDS.get(node.name, Fold()) for node in graph.nodes if not node.op.folds_with_reader}
    return write_project(build_design(graph, folds, KERNELS, device=ULTRA, board="b", clock_mhz=100), folder / "stored")
