"""Attributes that a file leaves to ONNX' defaults, written out for libraries that read them as they stand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from muxflow.frontend.qonnx.defaults import with_defaults


def model(*nodes, weights=(4, 2, 3, 5)):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 2)
    held = [
        numpy_helper.from_array(np.random.default_rng(0).normal(size=weights).astype(np.float32), "w"),
        *(numpy_helper.from_array(np.float32(value), name) for name, value in (("s", 1.0), ("z", 0.0), ("b", 4.0))),
    ]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], held), opset_imports=opsets)


def attributes(made, op_type):
    (node,) = (node for node in made.graph.node if node.op_type == op_type)
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def test_of_a_window_everything_is_written_and_nothing_computed_changes():
    made = model(
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("Flatten", ["p"], ["y"]),
    )
    x = np.random.default_rng(1).normal(size=(1, 2, 8, 8)).astype(np.float32)
    (before,) = ReferenceEvaluator(made).run(None, {"x": x})
    filled = with_defaults(made)
    onnx.checker.check_model(filled)
    conv, pool = attributes(filled, "Conv"), attributes(filled, "MaxPool")
    assert conv == {"kernel_shape": [3, 5], "strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1}
    assert (pool["kernel_shape"], pool["strides"], pool["pads"], pool["ceil_mode"]) == ([2, 2], [1, 1], [0] * 4, 0)
    assert attributes(filled, "Flatten") == {"axis": 1}
    np.testing.assert_array_equal(ReferenceEvaluator(filled).run(None, {"x": x})[0], before)


def test_the_kernel_of_quantized_weights_is_found():
    quant = helper.make_node("Quant", ["w", "s", "z", "b"], ["q"], domain="qonnx.custom_op.general", signed=1, narrow=1)
    made = with_defaults(model(quant, helper.make_node("Conv", ["x", "q"], ["y"])))
    assert attributes(made, "Conv")["kernel_shape"] == [3, 5]
    assert set(attributes(made, "Quant")) == {"signed", "narrow"}


@pytest.mark.parametrize(("auto", "padded"), [("SAME_UPPER", False), ("VALID", False), ("NOTSET", True)])
def test_what_a_node_says_stays(auto, padded):
    made = with_defaults(model(helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=auto, strides=[2, 2], group=1)))
    found = attributes(made, "Conv")
    assert found["strides"] == [2, 2]
    assert ("pads" in found) == padded
