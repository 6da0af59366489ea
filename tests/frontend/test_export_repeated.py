"""Nodes that read one tensor twice, which QONNX's cleanup breaks."""

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from qonnx.util.cleanup import cleanup
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.brevitas.export import execute, export
from muxflow.frontend.training.quantizers import PixelInput

SHAPE = (3, 6, 6)
JOINS = {
    "add": lambda x, y: x + x,
    "multiply": lambda x, y: x * x,
    "concatenate": lambda x, y: torch.cat([y, x, y, y], 1),
}


class Twice(nn.Module):
    """A convolution whose codes meet themselves."""

    def __init__(self, join):
        super().__init__()
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        self.conv = qnn.QuantConv2d(3, 4, 3, bias=False, weight_bit_width=4)
        self.relu = qnn.QuantReLU(bit_width=4)
        self.other = qnn.QuantReLU(bit_width=4)
        self.join = join

    def forward(self, x):
        x = self.conv(self.pixels(x))
        return self.other(self.join(self.relu(x), self.other(x))).flatten(1)


def built(join):
    torch.manual_seed(0)
    model = Twice(join)
    for _ in range(4):
        model(torch.rand(4, *SHAPE))
    return model.eval()


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)
def test_a_tensor_may_be_read_twice(join, tmp_path):
    model = built(join)
    path = export(model, tmp_path / "net.onnx", (1, *SHAPE))
    onnx.checker.check_model(str(path))
    graph = onnx.load(str(path)).graph
    assert "Identity" not in {node.op_type for node in graph.node}
    assert not any("input_" in entry.name for entry in graph.value_info)
    codes = np.random.default_rng(1).integers(0, 256, (3, 6, 6, 3))
    x = (codes.transpose(0, 3, 1, 2) / 256).astype(np.float32)
    expected = model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(execute(path, x)["global_out"], expected, atol=1e-6)
    imported = muxflow.load(path)
    np.testing.assert_allclose(imported.read_out(imported(codes)), expected, atol=1e-6)


def test_a_file_that_qonnx_cleanup_broke_is_named(tmp_path):
    from brevitas.export import export_qonnx  # it warns when it is imported

    path = tmp_path / "net.onnx"
    export_qonnx(built(JOINS["add"]), torch.zeros(1, *SHAPE), export_path=str(path), dynamo=False)
    assert muxflow.load(path).nodes
    cleanup(str(path), out_file=str(path))
    with pytest.raises(
        UnsupportedError, match=r"node Add_0 \(Add\) reads .*QONNX's cleanup gave .* from before the cleanup"
    ):
        muxflow.load(path)


def test_a_tensor_that_is_returned_twice_is_named(tmp_path):
    model = Twice(JOINS["add"]).eval()
    model.forward = lambda x: (y := model.relu(model.conv(x)), y)
    with pytest.raises(MuxflowError, match="returns one tensor more than once; return each once"):
        export(model, tmp_path / "net.onnx", (1, *SHAPE))
