"""The products that a network asks for, counted by hand."""

from math import prod

import numpy as np
import pytest
from networks import recurrent

from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.resize import Resize
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow


def convolved(resize: Resize | None, window: SlidingWindow, map_: tuple[int, ...], rows: int = 3) -> Graph:
    """A convolution, or a transposed one."""
    sizes = resize.infer(Stream(map_, 0, 3))[0] if resize else Stream(map_, 0, 3)
    windows = window.infer(sizes)[0]
    pixels, columns = prod(windows.shape[:-1]), windows.channels // window.groups
    before = [Node("up", resize, ("x",), ("u",))] if resize else []
    nodes = [
        *before,
        Node("window", window, ("u" if resize else "x",), ("a",)),
        Node("w", RomWeights(np.ones((rows, columns), np.int64), window.groups, pixels), (), ("w",)),
        Node("m", MatrixVector(window.groups, prod(window.kernel)), ("a", "w"), ("y",)),
    ]
    return with_nodes(Graph("one", (), {"x": Stream(map_, 0, 3)}, ("x",), ("y",)), nodes)


def insert(*factors: int, pads: tuple[int, ...] = ()) -> Resize:
    return Resize(factors, pads, "insert")


@pytest.mark.parametrize(
    ("resize", "window", "map_", "macs"),
    [
        # Kernel 4, stride 4: 16 pixels, each with 8 x 3 weights at 16 positions.
        (insert(4, 4), SlidingWindow((4, 4), pads=(3, 3, 3, 3)), (4, 4, 8), 16 * 8 * 3 * 16),
        # Kernel 4, stride 2, padding 1: of 8 x 8 outputs each meets 2 x 2 pixels, those at the edge padding.
        (insert(2, 2), SlidingWindow((4, 4), pads=(2, 2, 2, 2)), (4, 4, 8), 16 * 8 * 3 * 16),
        # Kernel 3, stride 2, padding 1, one more row at the end; along one axis.
        (insert(2), SlidingWindow((3,), pads=(1, 2)), (5, 1), 5 * 3 * 3),
        # Kernel 3, stride 2, no padding: 11 outputs, and no more than 5 pixels with 3 weights each.
        (insert(2), SlidingWindow((3,), pads=(2, 2)), (5, 1), 5 * 3 * 3),
        # The same cropped to 3 outputs, which meet 2, 1 and 2 pixels.
        (insert(2, pads=(-2, -2)), SlidingWindow((3,)), (5, 1), 5 * 3),
        # Kernel 2, stride 3: one output of three has no pixel.
        (insert(3), SlidingWindow((2,), pads=(1, 2)), (4, 1), 4 * 2 * 3),
        # Kernel 1, stride 2.
        (insert(2, 2), SlidingWindow((1, 1)), (3, 3, 2), 9 * 2 * 3),
        # A stride in one axis of two: along the other the products with padding count.
        (insert(2, 1), SlidingWindow((2, 3), pads=(1, 1, 1, 1)), (3, 3, 1), (3 * 2) * (3 * 3) * 3),
        # No zeros between pixels: 9 products an output and channel, those with padding too.
        (None, SlidingWindow((3, 3), pads=(1, 1, 1, 1)), (4, 4, 2), 16 * 9 * 2 * 3),
        (Resize((2, 2), (), "repeat"), SlidingWindow((3, 3)), (4, 4, 2), 36 * 9 * 2 * 3),
        (insert(1, 1, pads=(1, 1, 1, 1)), SlidingWindow((3, 3)), (4, 4, 2), 16 * 9 * 2 * 3),
    ],
)
def test_products_with_zeros_between_pixels_are_none(
    resize: Resize | None, window: SlidingWindow, map_: tuple[int, ...], macs: int
) -> None:
    graph = convolved(resize, window, map_)
    assert graph.operations_by_node()["m"] == graph.operations() == macs
    assert insert_forks(graph).operations() == macs


def test_a_depthwise_transposed_convolution_counts_each_pixel_once_with_each_weight() -> None:
    graph = convolved(insert(2, 2), SlidingWindow((2, 2), pads=(1, 1, 1, 1), groups=3), (4, 4, 3))
    assert graph.operations() == 4 * 4 * 4 * 3


def test_a_kernel_of_one_position_needs_no_window() -> None:
    nodes = [
        Node("up", insert(2, 2), ("x",), ("u",)),
        Node("w", RomWeights(np.ones((5, 2), np.int64), 1, 25), (), ("w",)),
        Node("m", MatrixVector(), ("u", "w"), ("y",)),
    ]
    graph = with_nodes(Graph("one", (), {"x": Stream((3, 3, 2), 0, 3)}, ("x",), ("y",)), nodes)
    assert graph.operations() == 9 * 2 * 5


def test_other_nodes_count_as_they_say() -> None:
    graph = recurrent()
    assert graph.operations() == sum(node.op.operations(graph.ports(node)) for node in graph.nodes) > 0
