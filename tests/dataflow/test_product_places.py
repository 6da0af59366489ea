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


RULE, ALONE, PACKED = Fold(4, 3), Fold(4, 3, dsp=True), Fold(4, 3, dsp=True, packed=True)


@pytest.mark.parametrize(
    ("weights", "inputs", "forms"),
    [
        (8, 4, (RULE, ALONE, PACKED)),
        (4, 8, (RULE, ALONE, PACKED)),
        (8, 3, (RULE, ALONE, PACKED)),
        (5, 5, (RULE, PACKED)),
        (8, 8, (RULE, PACKED)),
        (4, 4, (RULE, PACKED)),
        (12, 4, (RULE, ALONE)),
        (12, 12, (RULE,)),
        (8, 2, (RULE,)),
        (2, 8, (RULE,)),
    ],
)
def test_products_of_some_bits_may_be_of_any_form(weights, inputs, forms):
    given = ports(weights, inputs)
    assert KERNELS.of(OP).forms(OP, given, RULE) == forms
    alone = tuple(replace(form, pe=1) for form in forms if not form.packed)
    assert KERNELS.of(OP).forms(OP, given, Fold(1, 3)) == alone
    assert PixelByPixel(KERNELS).of(OP).forms(OP, given, RULE) == (RULE,)


def test_a_block_holds_a_product_and_saves_luts():
    luts, blocks = (KERNELS.of(OP).cost(OP, ports(8, 4), Fold(2, 3, 1, 5, dsp)) for dsp in (False, True))
    assert (luts.dsp, blocks.dsp) == (0, 30)
    assert blocks.lut < luts.lut / 3
    for dsp in (False, True):
        assert ("DSP", int(dsp)) in KERNELS.unit(OP, ports(8, 4), Fold(2, 3, dsp=dsp)).arguments


@pytest.mark.parametrize(
    ("weights", "inputs", "pe", "block", "blocks"),
    [(8, 4, 4, 2, 2), (8, 8, 4, 2, 2), (5, 4, 4, 3, 2), (4, 4, 2, 2, 1), (3, 4, 4, 4, 1), (8, 4, 1, 1, 1)],
)
def test_a_block_holds_products_of_several_rows(weights, inputs, pe, block, blocks):
    """So many blocks for each column of each pixel; between two products an adder and a bit that is counted."""
    fold = Fold(pe, 3, 1, 5, dsp=True)
    given, packed = ports(weights, inputs), replace(fold, packed=True)
    one, several = (KERNELS.of(OP).cost(OP, given, form) for form in (fold, packed))
    assert (one.dsp, several.dsp) == (15 * pe, 15 * blocks)
    assert several.lut - one.lut == 15 * (pe - blocks) * (weights + 2)
    assert several.ff == one.ff
    assert ("DSP", block) in KERNELS.unit(OP, given, packed).arguments


@pytest.mark.parametrize(
    ("w", "x", "luts"), [((0, 15), (0, 15), 0), ((0, 15), (-8, 7), 1), ((-8, 7), (0, 15), 6), ((-8, 7), (-8, 7), 6)]
)
def test_what_is_never_negative_takes_nothing_off_its_neighbour(w, x, luts):
    given = Ports((Stream((1, 5, 6), *x), Stream((4, 6), *w, repeats=5)), (Stream((1, 5, 4), -999, 999),))
    one, several = (KERNELS.of(OP).cost(OP, given, Fold(2, 1, dsp=True, packed=packed)) for packed in (False, True))
    assert several.lut - one.lut == luts


def chain():
    rng = np.random.default_rng(0)
    nodes = [
        Node("w", RomWeights(rng.integers(-127, 128, (16, 16)), 1, 16), (), ("w",)),
        Node("product", MatrixVector(), ("x", "w"), ("sums",)),
        Node("steps", Threshold(np.sort(rng.integers(-9999, 9999, (1, 15))), np.zeros(1, int)), ("sums",), ("y",)),
    ]
    return with_nodes(Graph("chain", (), {"x": Stream((4, 4, 16), 0, 15)}, ("x",), ("y",)), nodes)


@pytest.mark.parametrize(("blocks", "packed"), [(0, False), (64, True), (256, False)])
def test_the_fit_takes_blocks_where_there_are_any(blocks, packed):
    """Several products in each where blocks are few, one where they are many: the latter takes fewer LUTs."""
    device = Device("xc7z020clg400-1", lut=4000, ff=50000, bram18=100, dsp=blocks)
    design = fit(chain(), KERNELS, device=device, board="b", clock_mhz=100, utilisation=Utilisation(1, 1, 1, 1, 1))
    fold = design.folds["product"]
    assert (fold.dsp, fold.packed) == (bool(blocks), packed)
    assert design.folds["w"] == fold.plain
    assert design.resources.dsp == (fold.operations // (1 + packed) if blocks else 0)


def test_all_forms_compute_the_same(tmp_path):
    graph = chain()
    codes = np.random.default_rng(1).integers(0, 16, (3, 4, 4, 16))
    device = Device("xc7z020clg400-1", lut=10**6, ff=10**6, bram18=1000, dsp=1000)
    for form in (Fold(4, 8), Fold(4, 8, dsp=True), Fold(4, 8, dsp=True, packed=True)):
        folds = {"product": form, "steps": Fold(4)}
        design = build_design(graph, folds, KERNELS, device=device, board="pynq-z2", clock_mhz=100)
        project = muxflow.write(design, tmp_path / str(form))
        for variant in ("native", "reference"):
            assert np.array_equal(project.csim(codes, variant, verify=True).outputs, graph(codes))
        assert muxflow.open_project(project.path).design.folds["product"] == form


def test_only_products_have_a_place():
    graph = chain()
    with pytest.raises(GraphError, match=r"steps \(Threshold\): the fold 'PE 4 SIMD 1 DSP'"):
        graph.nodes[2].op.check_folds("steps", graph.ports(graph.nodes[2]), Fold(4, dsp=True))
    with pytest.raises(GraphError, match=r"product \(MatrixVector\): the fold 'PE 4 SIMD 8 packed'"):
        graph.nodes[1].op.check_folds("product", graph.ports(graph.nodes[1]), Fold(4, 8, packed=True))
    assert replace(Fold(4, 8), dsp=True, packed=True).plain == Fold(4, 8)
    assert str(Fold(4, 8, dsp=True, packed=True)) == "PE 4 SIMD 8 DSP packed"
