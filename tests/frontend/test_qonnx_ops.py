"""QONNX operators: numbers worked out by hand, inference of shapes and datatypes, bad nodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model
from qonnx.util.cleanup import cleanup_model

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.qonnx.ops import DOMAIN, mux_join, or_join, select_bits, to_codes

X = np.array([[[[0, 3], [2, 1]], [[0, 0], [1, 0]]]])
F = np.array([[[[7, 2], [1, 0]], [[5, 5], [5, 5]], [[4, 4], [4, 4]]]])


def model(op, inputs, output_shape, thresholds=None, **attributes):
    names = list(inputs)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)
    if thresholds is not None:
        names.append("thresholds")
    node = helper.make_node(op, names, ["y"], name=op, domain=DOMAIN, **attributes)
    wrapper = ModelWrapper(qonnx_make_model(helper.make_graph([node], "g", values, [output])))
    if thresholds is not None:
        wrapper.set_initializer("thresholds", np.array(thresholds, np.float32))
    return wrapper.transform(InferShapes())


def run(wrapper, **inputs):
    return execute_onnx(wrapper, {k: v.astype(np.float32) for k, v in inputs.items()})["y"]


@pytest.mark.parametrize(
    ("select", "thresholds", "first", "second"),
    [
        ("always", [], [[3, 2], [1, 0]], [[2, 2], [3, 2]]),
        ("channel", [3, 2], [[3, 2], [1, 0]], [[5, 5], [5, 5]]),
        ("channel", [4, 1], [[7, 2], [1, 0]], [[2, 2], [3, 2]]),
        ("channel-mean", [6, 2], [[3, 2], [1, 0]], [[5, 5], [5, 5]]),
        ("element", [2, 1], [[7, 2], [1, 0]], [[5, 5], [3, 5]]),
    ],
)
def test_mux_join_by_hand(select, thresholds, first, second):
    y = mux_join(X, F, np.array(thresholds, np.int64), select)
    assert y.tolist() == [[first, second, F[0, 2].tolist()]]
    extra = {} if select == "always" else {"thresholds": thresholds}
    node = model("MuxJoin", {"x": X.shape, "f": F.shape}, F.shape, select=select, scale=0.125, bits=3, **extra)
    assert (run(node, x=X / 8, f=F / 8) * 8).tolist() == y.tolist()


def test_mux_or_join_of_clips_by_hand():
    """The mix is bitwise; S is of the whole clip."""
    x, f = np.array([[[[[1, 0]], [[0, 0]]]]]), np.array([[[[[2, 2]], [[0, 1]]]]])
    assert mux_join(x, f, np.array([1]), "channel", "or").tolist() == [[[[[3, 2]], [[0, 1]]]]]
    assert mux_join(x, f, np.array([2]), "channel", "or").tolist() == f.tolist()
    assert mux_join(x, f, np.array([1]), "element", "or").tolist() == [[[[[3, 2]], [[0, 1]]]]]
    node = model("MuxJoin", {"x": x.shape, "f": f.shape}, f.shape, [1], select="channel", mix="or", scale=0.25, bits=2)
    assert (run(node, x=x / 4, f=f / 4) * 4).tolist() == [[[[[3, 2]], [[0, 1]]]]]
    with pytest.raises(UnsupportedError, match="mix 'xor'; supported: mean, or"):
        mux_join(x, f, np.array([1]), "channel", "xor")


def test_or_join_by_hand():
    expected = [[[[7, 3], [3, 1]], [[5, 5], [5, 5]], [[4, 4], [4, 4]]]]
    assert or_join(X, F).tolist() == expected
    node = model("OrJoin", {"x": X.shape, "f": F.shape}, F.shape, scale=1 / 7, bits=3)
    assert np.rint(run(node, x=X / 7, f=F / 7) * 7).tolist() == expected


CODES = hnp.arrays(np.int64, (1, 2, 2, 3), elements=st.integers(0, 7))


@given(x=CODES, f=CODES, t=hnp.arrays(np.int64, (2,), elements=st.integers(-1, 8)))
@settings(max_examples=60, deadline=None)
def test_element_mux_is_its_scalar_sentence(x, f, t):
    y = mux_join(x, f, t, "element")
    for index in np.ndindex(x.shape):
        assert y[index] == ((x[index] + f[index]) // 2 if x[index] >= t[index[1]] else f[index])
    assert 0 <= y.min() <= y.max() <= 7


def test_generated_weights_execute_and_survive_cleanup():
    attributes = {"rule": 30, "ring": 32, "seed": 5, "burn_in": 4, "rows": 6, "columns": 16, "alphabet": "ternary"}
    weights = helper.make_node("AutomatonWeights", ["x"], ["w"], domain=DOMAIN, scale=0.25, **attributes)
    conv = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 16, 2, 2))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    wrapper = cleanup_model(ModelWrapper(qonnx_make_model(helper.make_graph([weights, conv], "g", [x], [y]))))
    assert [n.op_type for n in wrapper.graph.node] == ["AutomatonWeights", "Conv"]
    assert not wrapper.graph.initializer
    assert wrapper.get_tensor_shape(wrapper.graph.node[0].output[0]) == [6, 16, 1, 1]
    assert wrapper.get_tensor_shape("global_out") == [1, 6, 2, 2]
    image = np.arange(64, dtype=np.float32).reshape(1, 16, 2, 2)
    result = execute_onnx(wrapper, {"global_in": image})["global_out"]
    matrix = Automaton(ring=32, seed=5, burn_in=4, alphabet="ternary").weights(6, 16) / 4
    assert np.array_equal(result, np.einsum("oc,nchw->nohw", matrix, image))


@pytest.mark.parametrize(
    ("scale", "alphabet", "datatype"),
    [(1.0, "binary", "BIPOLAR"), (1.0, "ternary", "TERNARY"), (0.5, "binary", "FLOAT32")],
)
def test_weight_datatype_follows_the_scale(scale, alphabet, datatype):
    sizes = {"rule": 30, "ring": 8, "seed": 0, "burn_in": 8, "rows": 2, "columns": 4}
    node = model("AutomatonWeights", {"x": (1, 4, 1, 1)}, (2, 4, 1, 1), scale=scale, alphabet=alphabet, **sizes)
    assert node.transform(InferDataTypes()).get_tensor_datatype("y") == DataType[datatype]


@pytest.mark.parametrize(("scale", "bits", "datatype"), [(1.0, 3, "UINT3"), (1.0, 1, "BINARY"), (0.5, 1, "FLOAT32")])
def test_join_shape_and_datatype(scale, bits, datatype):
    node = model("OrJoin", {"x": (1, 2, 3, 3), "f": (1, 5, 3, 3)}, None, scale=scale, bits=bits)
    assert node.get_tensor_shape("y") == [1, 5, 3, 3]
    assert node.transform(InferDataTypes()).get_tensor_datatype("y") == DataType[datatype]


def test_inputs_must_be_codes():
    node = model("OrJoin", {"x": X.shape, "f": F.shape}, F.shape, scale=0.125, bits=3)
    for bad in (X / 8 + 0.01, X / 8 - 1, X / 8 + 1):
        with pytest.raises(MuxflowError, match="unsigned 3-bit codes"):
            run(node, x=bad, f=F / 8)
    assert to_codes("join", np.float32(X / 7), 1 / 7, 3).tolist() == X.tolist()


def test_bad_nodes_are_named():
    with pytest.raises(UnsupportedError, match="channel, channel-mean, element, always"):
        select_bits(X, np.zeros(2, np.int64), "row")
    with pytest.raises(MuxflowError, match="stride at 1"):
        mux_join(X, F[:, :, :1], np.zeros(2, np.int64), "channel")
    with pytest.raises(MuxflowError, match=r"one per residual channel: \(2,\)"):
        mux_join(X, F, np.zeros(3, np.int64), "channel")
    shapes, scaled = {"x": X.shape, "f": F.shape}, {"scale": 0.125, "bits": 3}
    node = model("MuxJoin", shapes, F.shape, select="element", thresholds=[0.5, 1], **scaled)
    with pytest.raises(MuxflowError, match="not integers"):
        run(node, x=X / 8, f=F / 8)
    getCustomOp(node.graph.node[0]).verify_node()
    lacking = model("MuxJoin", shapes, F.shape, select="element", **scaled)
    with pytest.raises(MuxflowError, match="3 are needed"):
        getCustomOp(lacking.graph.node[0]).verify_node()
