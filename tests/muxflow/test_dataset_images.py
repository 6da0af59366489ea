"""Images of a data set in a simulation: all of them, part by part where they are more than an array may hold."""

from dataclasses import replace

import numpy as np
import pytest

import muxflow
from muxflow import proving
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.images import Frames
from muxflow.proving import dataset_images, prove


@pytest.fixture(scope="module")
def graph():
    """A linear layer on 8x8 pixels."""
    weights = np.random.default_rng(0).integers(-1, 2, (10, 64))
    nodes = [Node("rom", RomWeights(weights), (), ("w",)), Node("fc", MatrixVector(), ("x", "w"), ("y",))]
    found = with_nodes(Graph("linear", (), {"x": Stream((8, 8, 1), 0, 255)}, ("x",), ("y",)), nodes)
    return replace(found, readouts={found.outputs[0]: Readout((1.0,) * 10, (0.0,) * 10, tuple(range(10)), (10,))})


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        ((0, 255), "uint8"), ((-8, 7), "int16"), ((-1, 200), "int16"), ((-1, 2**40), "int64"),
        ((-(2**63), 2**63 - 1), "int64"), ((0, 2**63 - 1), "uint64"),
    ],
)  # fmt: skip
def test_random_codes_are_narrow_integers(ends, kind):
    net = with_nodes(
        Graph("n", (), {"x": Stream((1, 2), *ends)}, ("x",), ("y",)), [Node("n", ArgMax(), ("x",), ("y",))]
    )
    codes = proving.random_images(net, 9).codes["x"]
    assert codes.dtype == kind
    np.testing.assert_array_equal(codes, random_codes(net.streams["x"], 9, np.random.default_rng(0)))
    net(codes)


def test_part_by_part(graph, tmp_path, monkeypatch):
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    whole = dataset_images(graph, "digits", "test", None, None)
    assert isinstance(whole.codes, np.ndarray)
    monkeypatch.setattr(proving, "MOST_ELEMENTS", 64 * 100)
    parted = dataset_images(graph, "digits", "test", None, None)
    assert isinstance(parted.codes, Frames)
    assert len(parted.codes) == len(whole.codes) > 100
    np.testing.assert_array_equal(np.asarray(parted.codes), whole.codes)
    seen = []

    def begin(title, total):
        return lambda done, of: seen.append((total, done, of))

    rungs, accuracy, _ = prove(project, parted, variants=("native",), begin=begin)
    count = len(whole.codes)
    assert rungs[0].images == count
    assert accuracy == prove(project, whole, variants=("native",))[1]
    assert seen[-1] == (count, count, count)
    few = dataset_images(graph, "digits", "test", None, 101)
    assert [len(part) for part in few.codes.parts(64)] == [64, 37]
    np.testing.assert_array_equal(np.concatenate(list(few.codes.parts(64))), whole.codes[:101])


def test_pixels_that_do_not_fit_are_refused_before_they_are_read(graph):
    narrow = replace(graph, streams={**graph.streams, "x": Stream((8, 8, 1), 0, 15)})
    with pytest.raises(MuxflowError, match=r"data set digits: .* does not hold 8-bit pixels"):
        dataset_images(narrow, "digits", "test", None, None)
