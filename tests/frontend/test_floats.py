"""A float model beside the integer graph: the comparison finds every difference, and float rounding is none."""

from dataclasses import replace

import numpy as np
import pytest
from given import Given

from muxflow.dataflow.errors import MismatchError, MuxflowError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.floats import float_inputs, image_codes
from muxflow.frontend.qonnx.execution import QonnxExecution, QonnxModel
from muxflow.frontend.registry import load
from muxflow.proof.compare import compare


@pytest.fixture
def case(build, save):
    b = build((1, 3, 4, 5))
    b.quant(scale=1 / 256)
    b.conv(np.random.default_rng(0).integers(-3, 4, (4, 3, 3, 3)))
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    b.conv(np.random.default_rng(1).integers(-3, 4, (2, 4, 1, 1)), np.float32([0.5, -1]), scale=0.25)
    path = save(b)
    return path, load(path)


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 5, 3))


@pytest.mark.parametrize("count", [1, 7, 120])
def test_batches_progress_and_counts(case, count):
    path, graph = case
    seen = []
    execution = QonnxExecution(path, graph)
    (outcome,) = compare(graph, [execution], images(count), lambda done, total: seen.append((done, total))).outcomes
    assert (len(outcome.streams), outcome.images) == (2, count)
    assert outcome.codes == count * (2 * 3 * 4 + 2 * 3 * 2)
    assert seen[-1] == (count, count)
    assert len(seen) == -(-count // 64)


def test_changed_threshold_is_found_at_its_stream(case):
    path, graph = case
    nodes = [
        replace(node, op=Threshold(node.op.thresholds + 1, node.op.falling, node.op.base))
        if isinstance(node.op, Threshold)
        else node
        for node in graph.nodes
    ]
    wrong = with_nodes(graph, nodes)
    with pytest.raises(
        MismatchError, match=r"QONNX execution differs from the graph first at Quant_\d+: image \d+, index"
    ):
        compare(wrong, [QonnxExecution(path, wrong)], images(60))


def test_changed_weight_is_found_at_the_output(case):
    path, graph = case
    last = [node for node in graph.nodes if isinstance(node.op, RomWeights)][-1]
    weights = last.op.weights.copy()
    weights[1, 2] += 1
    nodes = [replace(n, op=RomWeights(weights, 1, n.op.repeats)) if n is last else n for n in graph.nodes]
    wrong = with_nodes(graph, nodes)
    place = r"first at Conv_\d+: image 0, index \(\d+, \d+, 1\): QONNX execution -?\d+, graph"
    with pytest.raises(MismatchError, match=place):
        compare(wrong, [QonnxExecution(path, wrong)], images(2))


def test_values_between_codes_are_named(case):
    _, graph = case
    logits = graph.read_out(graph(images(2))) + 0.5 * graph.readouts[graph.outputs[0]].scale[0]
    with pytest.raises(MismatchError, match=r"values are not on the integer grid, off by 0\.5"):
        compare(graph, [Given("it", graph, (logits,))], images(2))


def test_other_shapes_are_named(case):
    _, graph = case
    name = next(iter(graph.tensors))
    with pytest.raises(MismatchError, match=r"it differs from the graph at .*: shapes \(2, 5\) and \(2, 2, 3, 4\)"):
        compare(graph, [Given("it", graph, (graph.read_out(graph(images(2))),), {name: np.zeros((2, 5))})], images(2))


def test_image_codes(case):
    _, graph = case
    pixels = images(3).astype(np.uint8)
    assert np.array_equal(image_codes(graph, pixels), pixels)
    with pytest.raises(MuxflowError, match=r"shape \(3, 4, 5\); expected \(N, 4, 5, 3\)"):
        image_codes(graph, pixels[..., 0])
    signed = Graph("s", (), {"x": replace(graph.streams[graph.inputs[0]], lo=-128, hi=127)}, ("x",), ("x",))
    with pytest.raises(MuxflowError, match="does not hold 8-bit pixels"):
        image_codes(signed, pixels)
    for scale, fits in ((1 / 255, True), (1.0, True), (1 / 256.01, True), (1 / 128, False), (1 / 1024, False)):
        other = Graph("s", (), {"x": replace(graph.streams[graph.inputs[0]], hi=1023, scale=(scale,))}, ("x",), ("x",))
        if fits:
            assert np.array_equal(image_codes(other, pixels), pixels)
        else:
            with pytest.raises(MuxflowError, match=rf"a code of input x is worth {scale:g}, so that it is no pixel"):
                image_codes(other, pixels)


def test_float_inputs_are_channel_first(case):
    _, graph = case
    codes = images(2)
    (values,) = float_inputs(graph, codes)
    assert values.shape == (2, 3, 4, 5)
    assert values.dtype == np.float32
    assert values[1, 2, 3, 4] == codes[1, 3, 4, 2] / 256


def test_an_input_without_a_scale_is_named(case):
    """As of a graph built by hand, in whose project somebody puts a model."""
    path, graph = case
    (name,) = graph.inputs
    bare = replace(graph, streams={**graph.streams, name: replace(graph.streams[name], scale=())})
    with pytest.raises(MuxflowError, match=f"{graph.name}: its input {name} has no scale, so no model computes"):
        compare(bare, [QonnxExecution(path, bare)], images(2))


def test_batch_axis_of_a_reshape_follows_the_batch(build, save):
    b = build((1, 2, 3, 4))
    b.quant(bits=4)
    b.then("Reshape", np.array([1, -1]))
    model = QonnxModel(save(b))
    assert model.run(np.zeros((5, 2, 3, 4), np.float32))[model.outputs[0]].shape == (5, 24)


def test_channels_with_factor_zero_are_compared_by_value(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 256)
    b.conv(np.ones((3, 2, 1, 1)))
    b.then("Mul", np.float32([1, 0, 2]).reshape(3, 1, 1))
    b.then("Add", np.float32([1, 2, 3]).reshape(3, 1, 1))
    prove(b)


def test_logits_that_float32_cannot_hold_are_compared_within_its_resolution(build, prove):
    b = build((1, 1024))
    b.quant(scale=1 / 255)
    x = b.last
    codes = np.random.default_rng(0).integers(-127, 128, (1024, 10))
    b.node("Gemm", x, b.weights(codes, 0.0123), np.float32(np.linspace(-100, 100, 10)))
    assert prove(b, count=50).streams["Gemm_2"].bits > 24
