"""Neighbouring pixels side by side: beats, the converters between them, what the solver tries, targets without them."""

import itertools

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError, UnsupportedError
from muxflow.dataflow.fit.candidates import tried_folds
from muxflow.dataflow.fit.folded import beats_between
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.fit.implementation import Limits, PixelByPixel
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Beat, Stream
from muxflow.dataflow.op import Fold, Ports, divisors
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.hls.finn.support import check_folded
from muxflow.hls.kernels import KERNELS


def every_beat(stream):
    """Parts of pixels side by side, whole pixels, and what a port brings."""
    beats = {stream.beat_of(part * n, n) for part in divisors(stream.channels) for n in divisors(stream.row)}
    return sorted(beats | {Beat(lanes) for lanes in (1, 2, 4, 8) if stream.size % lanes == 0})


@pytest.mark.parametrize(
    "stream", [Stream((4, 6, 12), 0, 3), Stream((2, 10, 3), 0, 255), Stream((8, 5), 0, 1)], ids=str
)
@pytest.mark.parametrize("most", [4096, 96])
def test_converters_lead_from_every_beat_to_every_other(stream, most):
    limits = Limits(most, 4096)
    beats = [beat for beat in every_beat(stream) if beat.lanes * stream.bits <= most]
    for source, target in itertools.product(beats, beats):
        met = beats_between(stream, source, target, limits)
        assert (met[0], met[-1]) == (source, target)
        assert len(set(met)) == len(met) <= 6
        assert met[::-1] == beats_between(stream, target, source, limits) or source.pixels == target.pixels
        for before, after in itertools.pairwise(met):
            op = WidthConverter.between(before, after)
            assert op.infer(stream) == (stream,)
            assert after.lanes * stream.bits <= most
            ports = Ports((stream.with_beat(before),), (stream.with_beat(after),))
            loop = op.access(ports, Fold())
            assert (loop.reads[0].beats, loop.writes[0].beats) == (ports.inputs[0].beats, ports.outputs[0].beats)


def test_whole_pixels_follow_the_order_of_the_elements():
    stream = Stream((2, 4, 6), 0, 1)
    assert stream.with_lanes(24, 4) == stream.with_lanes(24)
    assert str(stream.with_lanes(8, 4)) == "uint1[2x4x6] /4x2"
    codes = np.arange(48)
    beats = codes.reshape(2, 4, 3, 2).swapaxes(1, 2).reshape(1, -1)
    np.testing.assert_array_equal(stream.with_lanes(8, 4).in_order(beats)[0], codes)
    for lanes, pixels in ((8, 3), (7, 4), (16, 4), (8, 0)):
        with pytest.raises(GraphError, match="do not divide a stream"):
            stream.with_lanes(lanes, pixels)
    weights = Stream((3, 4), -1, 1, repeats=8)
    assert weights.with_lanes(2, 4).beats == weights.with_lanes(2).beats // 4


def test_bad_converters():
    x = Stream((2, 4, 6), 0, 1)
    with pytest.raises(GraphError, match="0 and 1 pixels; at least 1"):
        WidthConverter(2, 2, 0, 1)
    with pytest.raises(GraphError, match="pixels must divide lanes"):
        WidthConverter(3, 3, 2, 3)
    with pytest.raises(GraphError, match="they keep their lanes, or the wider beat holds whole ones"):
        WidthConverter(8, 4, 1, 2).infer(x)


def pointwise(rows, columns, row):
    weights = np.random.default_rng(0).integers(0, 2, (rows, columns)) * 2 - 1
    nodes = [
        Node("rom", RomWeights(weights, 1, row), (), ("w",)),
        Node("conv", MatrixVector(), ("x", "w"), ("y",)),
    ]
    return with_nodes(Graph("pointwise", (), {"x": Stream((1, row, columns), 0, 1)}, ("x",), ("y",)), nodes)


@pytest.mark.parametrize(("row", "parts"), [(8, 4), (14, 2), (15, 3), (7, 7), (17, 1), (1, 1)])
def test_the_folds_that_are_tried(row, parts):
    graph = pointwise(8, 8, row)
    folds = tried_folds(graph, KERNELS, graph.nodes[1])
    assert {fold.pixels for fold in folds if fold.pe < 8} == {1, parts}
    assert {fold.pixels for fold in folds if (fold.pe, fold.simd) == (8, 8)} == {n for n in divisors(row) if n <= 16}
    assert {fold.pixels for fold in tried_folds(graph, PixelByPixel(KERNELS), graph.nodes[1])} == {1}


def test_pixels_divide_the_weight_bandwidth():
    """The same products a cycle from a weight memory of as many bits, a quarter as wide."""
    graph = pointwise(64, 64, 8)
    ports = graph.ports(graph.nodes[0])
    wide, narrow = (KERNELS.of(graph.nodes[0].op).cost(graph.nodes[0].op, ports, fold).memories[0] for fold in FOLDS)
    assert wide.bits == narrow.bits == 64 * 64
    assert (wide.width, narrow.width) == (256, 64)
    matrix = graph.nodes[1]
    cycles = {KERNELS.of(matrix.op).access(matrix.op, graph.ports(matrix), fold).trips for fold in FOLDS}
    assert cycles == {8 * 64 * 64 // 256}


FOLDS = (Fold(16, 16), Fold(8, 8, pixels=4))


def test_a_target_without_parallel_pixels(residual, device):
    several = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    assert max(fold.pixels for fold in several.folds.values()) > 1
    with pytest.raises(UnsupportedError, match=r"takes [23] neighbouring pixels at once; FINN's nodes take one after"):
        check_folded(several.folded)
    single = fit(residual, PixelByPixel(KERNELS), device=device, board="b", clock_mhz=100)
    assert max(fold.pixels for fold in single.folds.values()) == 1
    assert single.slowest_cycles > several.slowest_cycles
    check_folded(single.folded)
