"""Products in LUTs or in DSP blocks: which may choose, what each takes, and that the fit chooses."""

from dataclasses import replace

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Device, Utilisation
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.fit.implementation import PixelByPixel
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS

OP = MatrixVector()


def ports(weights, inputs):
    """A 4 x 6 matrix of signed weights of so many bits on unsigned inputs, for 5 vectors."""
    top = 2 ** (weights - 1) - 1
    matrix = np.full((4, 6), top)
    matrix[0] = -top
    x, (w,) = Stream((1, 5, 6), 0, 2**inputs - 1), RomWeights(matrix, 1, 5).infer()
    return Ports((x, w), OP.infer(x, w))


@pytest.mark.parametrize(
    ("weights", "inputs", "count"), [(8, 4, 2), (4, 8, 2), (8, 3, 2), (5, 5, 1), (8, 2, 1), (4, 4, 1), (2, 8, 1)]
)
def test_products_of_a_few_by_many_bits_may_be_of_either(weights, inputs, count):
    forms = KERNELS.of(OP).forms(OP, ports(weights, inputs), Fold(2, 3))
    assert forms == (Fold(2, 3), Fold(2, 3, dsp=True))[:count]
    assert PixelByPixel(KERNELS).of(OP).forms(OP, ports(weights, inputs), Fold(2, 3)) == (Fold(2, 3),)


def test_a_block_holds_a_product_and_saves_luts():
    luts, blocks = (KERNELS.of(OP).cost(OP, ports(8, 4), Fold(2, 3, 1, 5, dsp)) for dsp in (False, True))
    assert (luts.dsp, blocks.dsp) == (0, 30)
    assert blocks.lut < luts.lut / 3
    for dsp in (False, True):
        assert ("DSP", dsp) in KERNELS.unit(OP, ports(8, 4), Fold(2, 3, dsp=dsp)).arguments


def chain():
    rng = np.random.default_rng(0)
    nodes = [
        Node("w", RomWeights(rng.integers(-127, 128, (16, 16)), 1, 16), (), ("w",)),
        Node("product", MatrixVector(), ("x", "w"), ("sums",)),
        Node("steps", Threshold(np.sort(rng.integers(-9999, 9999, (1, 15))), np.zeros(1, int)), ("sums",), ("y",)),
    ]
    return with_nodes(Graph("chain", (), {"x": Stream((4, 4, 16), 0, 15)}, ("x",), ("y",)), nodes)


@pytest.mark.parametrize("blocks", [0, 64])
def test_the_fit_takes_blocks_where_there_are_any(blocks, tmp_path):
    device = Device("xc7z020clg400-1", lut=4000, ff=50000, bram18=100, dsp=blocks)
    design = fit(chain(), KERNELS, device=device, board="b", clock_mhz=100, utilisation=Utilisation(1, 1, 1, 1, 1))
    assert design.folds["product"].dsp == bool(blocks)
    assert not design.folds["w"].dsp
    assert design.resources.dsp == (design.folds["product"].operations if blocks else 0)


def test_both_forms_compute_the_same(tmp_path):
    graph = chain()
    codes = np.random.default_rng(1).integers(0, 16, (3, 4, 4, 16))
    device = Device("xc7z020clg400-1", lut=10**6, ff=10**6, bram18=1000, dsp=1000)
    for dsp in (False, True):
        folds = {"product": Fold(4, 8, dsp=dsp), "steps": Fold(4)}
        design = build_design(graph, folds, KERNELS, device=device, board="pynq-z2", clock_mhz=100)
        project = muxflow.write(design, tmp_path / str(dsp))
        for variant in ("native", "reference"):
            assert np.array_equal(project.csim(codes, variant, verify=True).outputs, graph(codes))
        assert muxflow.open_project(project.path).design.folds["product"].dsp == dsp


def test_only_products_have_a_place():
    graph = chain()
    with pytest.raises(GraphError, match=r"steps \(Threshold\): the fold 'PE 4 SIMD 1 DSP'"):
        graph.nodes[2].op.check_folds("steps", graph.ports(graph.nodes[2]), Fold(4, dsp=True))
    assert replace(Fold(4, 8), dsp=True).plain == Fold(4, 8)
