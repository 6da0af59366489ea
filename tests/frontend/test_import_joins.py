"""Joins of streams, generated weights, re-ordering: equal to QONNX, or refused with the fix."""

import numpy as np
import pytest

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.scale import Scale
from muxflow.frontend.registry import check, load


def codes(*shape, low=-3, high=4, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


def branches(b, scales, channels=3, bits=3, weight_scale=1.0):
    """Two convolutions of one input, each with its quantizer; their names."""
    b.quant(scale=1 / 16, bits=4)
    x = b.last
    outs = []
    for seed, scale in enumerate(scales):
        b.conv(codes(channels, b.shape[1], 1, 1, seed=seed), x=x, scale=weight_scale)
        outs.append(b.last if scale is None else b.quant(scale=scale, bits=bits))
    return outs


def factors(graph):
    return [node.op.factors.tolist() for node in graph.nodes if isinstance(node.op, Scale)]


@pytest.mark.parametrize(
    ("scales", "expected"),
    [((0.3, 0.3), []), ((0.25, 0.0625), [[4]]), ((0.1, 0.15), [[2], [3]]), ((1.0, 3.0), [[3]])],
)
def test_add_of_quantized_branches(scales, expected, build, prove):
    b = build((1, 2, 3, 4))
    a, c = branches(b, scales)
    b.node("Add", a, c)
    b.quant(scale=0.5713, bits=3)
    b.conv(codes(2, 3, 1, 1))
    assert factors(prove(b)) == expected


def test_add_of_accumulators_with_scales_a_channel(build, prove):
    b = build((1, 2, 3, 4))
    scale = np.float32([0.25, 0.5, 2]).reshape(3, 1, 1, 1)
    a, c = branches(b, (None, None), weight_scale=scale)
    other = b.node("Mul", c, np.float32([0.5, 2, 1]).reshape(3, 1, 1))
    b.node("Add", a, other)
    b.then("Add", np.float32([1, 2, -1]).reshape(3, 1, 1) / 4)
    b.then("Relu")
    b.quant(scale=0.25, bits=4)
    graph = prove(b)
    assert factors(graph) == [[2, 1, 1], [1, 2, 1]]
    assert graph.notes["near_ties"] == "0"


def test_add_keeps_offsets(build, prove):
    b = build((1, 2, 3, 4))
    a, c = branches(b, (0.25, 0.25))
    b.node("Add", b.node("Add", a, np.float32(0.75)), b.node("Sub", c, np.float32(0.25)))
    graph = prove(b)
    assert set(graph.readouts[graph.outputs[0]].offset) == {0.5}


def test_residual_of_the_input_itself_and_of_a_stream_with_itself(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 8, bits=3)
    x = b.last
    y = b.conv(codes(2, 2, 3, 3), x=x, pads=[1, 1, 1, 1])
    y = b.quant(y, scale=1 / 8, bits=3)
    b.node("Add", x, y)
    b.node("Add", b.last, b.last)
    prove(b)


def test_near_ties_of_sums_with_a_float_scale_are_counted(build, save):
    b = build((1, 2, 3, 4))
    a, c = branches(b, (0.3, 0.3))
    b.node("Add", a, c)
    b.quant(scale=0.6, bits=3)
    assert int(load(save(b)).notes["near_ties"]) > 0


JOIN_REFUSED = {
    "incommensurate": (
        (0.3, 0.29317),
        lambda b, a, c: b.node("Add", a, c),
        r"Add_\d+ \(Add\): scales 0.3 and 0.29317 have no common integer grid; give both branches one shared quantizer",
    ),
    "no quantizer": (
        (0.3, None),
        lambda b, a, c: b.node("Add", a, b.node("Relu", c)),
        r"Add_\d+ .*one side passes Relu_\d+ \(Relu\).*put an activation quantizer on both sides",
    ),
    "product": ((0.3, 0.3), lambda b, a, c: b.node("Mul", a, c), r"Mul_\d+ .*both inputs are data; supported joins"),
    "broadcast": (
        (0.3, 0.3),
        lambda b, a, c: b.node("Add", a, b.node("GlobalMaxPool", c)),
        r"Add_\d+ .*joins shapes \(3, 3, 4\) and \(3, 1, 1\).*supported are equal",
    ),
    "pixel by pixel": (
        (0.3, 0.3),
        lambda b, a, c: b.node("Add", b.node("Mul", a, codes(3, 3, 4) + 4.5), c),
        r"Add_\d+ .*pixel by pixel; put a quantizer",
    ),
    "maps of other sizes": (
        (0.3, 0.3),
        lambda b, a, c: b.node("Concat", a, b.node("MaxPool", c, kernel_shape=[2, 2]), axis=1),
        r"Concat_\d+ \(Concat\): concat: .*height and width must agree",
    ),
    "batch axis": (
        (0.3, 0.3),
        lambda b, a, c: b.node("Concat", a, c, axis=0),
        r"Concat_\d+ .*join channels \(axis 1\)",
    ),
}


@pytest.mark.parametrize("case", JOIN_REFUSED)
def test_refused_joins(case, build, save):
    scales, join, message = JOIN_REFUSED[case]
    b = build((1, 2, 3, 4))
    join(b, *branches(b, scales))
    with pytest.raises(MuxflowError, match=message):
        load(save(b))


@pytest.mark.parametrize("scales", [(0.25, 0.25), (0.25, 1.0), (0.1, 0.15)])
def test_concat_and_convolution(scales, build, prove):
    b = build((1, 2, 3, 4))
    a, c = branches(b, scales)
    b.node("Concat", a, c, a, axis=1)
    b.quant(b.conv(codes(4, 9, 3, 3)), scale=2.13, bits=4, signed=1)
    graph = prove(b)
    assert len(factors(graph)) == (scales[0] != scales[1])


def test_concat_of_any_scales_and_quantizer(build, prove, save):
    """A quantizer takes channels of any scale; a convolution does not."""
    b = build((1, 2, 3, 4))
    a, c = branches(b, (0.3, 0.29317))
    joined = b.node("Concat", a, c, axis=-3)
    b.quant(scale=0.31, bits=2)
    prove(b)
    b.conv(codes(2, 6, 1, 1), x=joined)
    with pytest.raises(MuxflowError, match=r"Conv_\d+ .*quantize the input with one scale for all channels"):
        load(save(b))


def test_concat_with_scales_and_offsets_a_channel(build, prove):
    b = build((1, 2, 3, 4))
    a, c = branches(b, (None, 0.25), weight_scale=np.float32([0.25, 0.3, 2]).reshape(3, 1, 1, 1))
    b.node("Concat", b.node("Add", a, np.float32([1, 2, 3]).reshape(3, 1, 1)), c, axis=1)
    graph = prove(b)
    assert len(set(graph.readouts[graph.outputs[0]].scale)) == 4
    assert set(graph.readouts[graph.outputs[0]].offset) == {0, 1, 2, 3}


def test_concat_of_flattened_maps(build, prove):
    b = build((1, 2, 3, 4))
    a, c = branches(b, (0.25, 0.25))
    c = b.node("Transpose", c, perm=[0, 2, 3, 1])
    b.node("Concat", b.node("Flatten", a), b.node("Flatten", c), axis=1)
    b.node("MatMul", b.last, b.weights(codes(72, 5)))
    prove(b)


@pytest.mark.parametrize("select", ["channel", "channel-mean", "element", "always"])
@pytest.mark.parametrize("channels", [(3, 3), (2, 5), (5, 2)])
def test_mux_join(select, channels, build, prove):
    b = build((1, 2, 3, 4))
    b.quant(scale=1 / 8, bits=3)
    x = b.quant(b.conv(codes(channels[0], 2, 1, 1)), scale=1 / 8, bits=3)
    f = b.quant(b.conv(codes(channels[1], channels[0], 3, 3, seed=1), x=x, pads=[1, 1, 1, 1]), scale=1 / 8, bits=3)
    thresholds = codes(min(channels), low=1, high=40 if select == "channel-mean" else 7, seed=2).astype(np.float32)
    inputs = [x, f] + ([] if select == "always" else [thresholds])
    b.node("MuxJoin", *inputs, domain="muxflow", select=select, scale=1 / 8, bits=3)
    b.conv(codes(2, channels[1], 1, 1))
    graph = prove(b, tensors=4)
    assert graph.operations() > 0


@pytest.mark.parametrize("select", ["channel", "channel-mean", "element", "always"])
def test_mux_or_join_of_clips(select, build, prove):
    """Maps of three axes: a select bit stands for the whole clip."""
    b = build((1, 2, 3, 4, 3))
    b.quant(bits=1)
    x = b.quant(b.conv(codes(3, 2, 1, 1, 1)), bits=1)
    f = b.quant(b.conv(codes(4, 3, 3, 3, 3, seed=1), x=x, pads=[1] * 6), bits=1)
    thresholds = np.float32([9, 20, 30] if select == "channel-mean" else [1, 1, 2])
    inputs = [x, f] + ([] if select == "always" else [thresholds])
    b.node("MuxJoin", *inputs, domain="muxflow", select=select, mix="or", scale=1.0, bits=1)
    b.conv(codes(2, 4, 1, 1, 1))
    graph = prove(b, tensors=4)
    (join,) = (node.op for node in graph.nodes if isinstance(node.op, MuxJoin))
    assert join.mix == "or"


def or_model(build, channels, scales=(0.25, 0.25), bits=2):
    b = build((1, 2, 3, 4))
    b.quant(scale=1 / 8, bits=3)
    x = b.quant(b.conv(codes(channels[0], 2, 1, 1)), scale=scales[0], bits=2)
    f = b.quant(b.conv(codes(channels[1], channels[0], 1, 1, seed=1), x=x), scale=scales[1], bits=2)
    b.node("OrJoin", x, f, domain="muxflow", scale=0.25, bits=bits)
    return b


@pytest.mark.parametrize("channels", [(3, 3), (2, 5), (5, 2)])
def test_or_join(channels, build, prove):
    prove(or_model(build, channels), tensors=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (3, 3), "scales": (0.5, 0.25)}, r"input 0 has scale 0.5, the node 0.25; use one shared"),
        ({"channels": (3, 3), "bits": 1}, r"codes up to 3, the node takes 1 bits; use one shared"),
    ],
)
def test_refused_or_joins(options, message, build, save):
    with pytest.raises(MuxflowError, match=message):
        load(save(or_model(build, **options)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"select": "sometimes"}, r"MuxJoin_\d+ .*select 'sometimes'; supported: 'channel'"),
        ({"mix": "xor"}, r"mix 'xor'; supported: 'mean', 'or'"),
        ({"thresholds": [1.5, 2]}, r"thresholds that are not integers; export"),
        ({"thresholds": [1.0]}, r"thresholds of shape \(1,\) for 2 channels"),
        ({"signed": 1}, r"input 0 is not a map of unsigned codes; put"),
    ],
)
def test_refused_mux_joins(change, message, build, save):
    b = build((1, 2, 3, 3))
    b.quant(scale=0.5, bits=3, signed=change.get("signed", 0))
    x = b.last
    thresholds = np.float32(change.get("thresholds", [1, 2]))
    chosen = {"select": change.get("select", "channel"), "mix": change.get("mix", "mean")}
    b.node("MuxJoin", x, x, thresholds, domain="muxflow", scale=0.5, bits=3, **chosen)
    with pytest.raises(MuxflowError, match=message):
        load(save(b))


def automaton_model(build, columns=6, rows=4, group=1, **attributes):
    b = build((1, 6, 3, 4))
    b.quant(scale=1 / 8, bits=3)
    x = b.last
    fields = {"ring": 24, "rule": 30, "seed": 0, "burn_in": 24, "alphabet": "binary", "scale": 0.5, **attributes}
    b.node("AutomatonWeights", x, domain="muxflow", rows=rows, columns=columns, **fields)
    b.node("Conv", x, b.last, group=group, kernel_shape=[1, 1])
    return b


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"alphabet": "ternary", "ring": 31},
        {"rule": 45, "seed": 7, "burn_in": 0},
        {"rule": 110, "seed": 3, "ring": 64, "alphabet": "ternary"},
        {"ring": 6, "rows": 1},
    ],
)
def test_generated_weights(attributes, build, prove):
    b = automaton_model(build, **attributes)
    b.quant(scale=0.25, bits=3)
    graph = prove(b)
    op = next(node.op for node in graph.nodes if isinstance(node.op, AutomatonWeights))
    assert op.automaton == Automaton(
        **{"ring": 24, "rule": 30, "seed": 0, "burn_in": 24, "alphabet": "binary"}
        | {key: value for key, value in attributes.items() if key != "rows"}
    )


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"group": 2, "columns": 3}, r"Conv_\d+ \(Conv\): generated weights feed dense layers"),
        ({"rule": 300}, r"rule 300 is not an elementary rule; use 0..255"),
        ({"ring": 4}, r"Conv_\d+ \(Conv\): cellular automaton: .*use ring >= 6"),
        ({"rule": 0, "alphabet": "ternary"}, r"Conv_\d+ \(Conv\): cellular automaton: rule 0 .*use another rule"),
        ({"columns": 5}, r"Conv_\d+ .*weights for 5 channels, input has 6"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refused_generated_weights(attributes, message, build, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(automaton_model(build, **attributes).model().SerializeToString())
    with pytest.raises(MuxflowError, match=message):
        load(path)
    assert not all(status.supported for status in check(path))


REORDERINGS = {
    "reshape there and back": [("Reshape", [np.array([1, 12, 2])], {}), ("Reshape", [np.array([0, 2, 3, 4])], {})],
    "transpose": [("Transpose", [], {"perm": [0, 2, 3, 1]})],
    "transpose and flatten": [("Transpose", [], {"perm": [0, 3, 1, 2]}), ("Flatten", [], {})],
    "unsqueeze and squeeze": [("Unsqueeze", [np.array([2, 4])], {}), ("Squeeze", [np.array([2, 4])], {})],
    "flatten axis -3": [("Flatten", [], {"axis": -3})],
}


@pytest.mark.parametrize("case", REORDERINGS)
def test_reordering(case, build, prove):
    b = build((1, 2, 3, 4))
    b.quant(bits=4)
    b.conv(codes(2, 2, 1, 1))
    for op, constants, attributes in REORDERINGS[case]:
        b.then(op, *constants, **attributes)
    b.then("Mul", np.float32(0.5))
    b.quant(bits=3, signed=1)
    graph = prove(b)
    assert not any(isinstance(node.op, AddJoin) for node in graph.nodes)


def test_flatten_before_the_input_quantizer(build, prove):
    b = build((1, 2, 3, 4))
    b.then("Transpose", perm=[0, 2, 3, 1])
    b.then("Flatten")
    b.quant(scale=1 / 256)
    b.node("MatMul", b.last, b.weights(codes(24, 3)))
    prove(b)


@pytest.mark.filterwarnings("ignore:Output shapes disagree")  # QONNX does not infer a computed target
def test_shape_behind_a_reshape_is_followed(build, prove):
    """What exporters write for x.view(x.size(0), -1) when nobody folds it."""
    b = build((1, 2, 3, 4))
    b.quant(bits=4)
    x = b.last
    b.node("Gather", b.node("Shape", x), np.array(0))
    b.node("Concat", b.then("Unsqueeze", np.array([0])), np.array([-1]), axis=0)
    b.node("Reshape", x, b.last)
    b.node("MatMul", b.last, b.weights(codes(24, 3)))
    prove(b, count=1)


@pytest.mark.parametrize(
    ("op", "constants", "attributes"),
    [
        ("Transpose", [], {"perm": [1, 0, 2, 3]}),
        ("Transpose", [], {}),
        ("Flatten", [], {"axis": 0}),
        ("Flatten", [], {"axis": 2}),
        ("Squeeze", [np.array([0])], {}),
        ("Unsqueeze", [np.array([0])], {}),
        ("Reshape", [np.array([5, -1])], {}),
        ("Reshape", [np.array([4, -1])], {}),
    ],
)
def test_moves_of_the_batch_axis_are_refused(op, constants, attributes, build, tmp_path):
    b = build((1, 1, 3, 4))
    b.quant(bits=4)
    b.then(op, *constants, **attributes)
    path = tmp_path / "net.onnx"
    path.write_bytes(b.model().SerializeToString())
    if (op, attributes) == ("Flatten", {"axis": 2}):
        load(path)  # one channel: nothing but (N, 12) comes out
        return
    with pytest.raises(MuxflowError, match=rf"{op}_1 \({op}\): .*batch axis"):
        load(path)


def test_identity_and_dropout_vanish(build, prove):
    b = build((1, 6))
    b.then("Identity")
    b.quant(bits=4)
    b.then("Dropout")
    b.node("MatMul", b.last, b.weights(codes(6, 3)))
    b.then("Identity")
    prove(b)
