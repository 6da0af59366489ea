"""Networks with several inputs or outputs, made ready for hls4ml's own converters."""

import numpy as np
import pytest
import torch
from brevitas.nn import QuantIdentity
from brevitas.quant.solver import ActQuantSolver
from front_end import run
from networks import NETWORKS, batch, each, recurrent
from qonnx.core.onnx_exec import execute_onnx

import muxflow
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.passes import carry_state
from muxflow.frontend.training.zoo_bnn import INPUT_SCALE, signed_quantizer

EVERY = {**NETWORKS, "recurrent": recurrent}
SEVERAL = """
from muxflow.dataflow.graph.file import read_graph
from muxflow.hls.hls4ml import prepare
graph = read_graph(folder / "graph.npz")
values = [np.ascontiguousarray(array, np.float64) for array in np.load(folder / "values.npz").values()]
model = prepare(graph, kind if kind != "pytorch" else "torch", standard_layers=False)
if kind == "onnx":
    config = hls4ml.utils.config_from_onnx_model(model, **common)
    converted = hls4ml.converters.convert_from_onnx_model(model, hls_config=config, **options)
elif kind == "keras":
    config = hls4ml.utils.config_from_keras_model(model, **common)
    converted = hls4ml.converters.convert_from_keras_model(model, hls_config=config, **options)
else:
    import torch
    values = [np.ascontiguousarray(array.transpose(0, 3, 1, 2)) for array in values]
    prepared = model(*map(torch.from_numpy, values))
    np.savez(folder / "prepared.npz", *(array.numpy() for array in prepared))
    shapes = [array.shape[1:] for array in values]
    config = hls4ml.utils.config_from_pytorch_model(model, shapes, **common)
    converted = hls4ml.converters.convert_from_pytorch_model(model, hls_config=config, **options)
converted.compile()
np.savez(folder / "outputs.npz", *converted.predict(values))
"""


def test_a_state_that_goes_on_is_not_prepared():
    """hls4ml's layers have no register that begins it anew; without it the cell is a layer as any other."""
    graph = recurrent()
    assert len(muxflow.prepare_for_hls4ml(graph).graph.output) == 1
    with pytest.raises(UnsupportedError, match=r"cell \(LstmCell\): a state that goes on from frame to frame"):
        muxflow.prepare_for_hls4ml(carry_state(graph))


@pytest.mark.parametrize("network", EVERY)
@pytest.mark.parametrize("standard", [True, False])
def test_prepared_with_several_ends(network, standard):
    """By QONNX' execution: each output in its place, one of them also read by a layer."""
    graph = EVERY[network]()
    codes = batch(graph, 3)
    model = muxflow.prepare_for_hls4ml(graph, standard_layers=standard)
    assert len(model.graph.input) == len(graph.inputs)
    names = [info.name for info in model.graph.input]
    frames = [
        execute_onnx(
            model,
            {name: array[i : i + 1].astype(np.float32) for name, array in zip(names, codes.values(), strict=True)},
        )
        for i in range(3)
    ]
    for info, wanted in zip(model.graph.output, each(graph.read_out(graph(codes))), strict=True):
        met = np.concatenate([frame[info.name] for frame in frames])
        np.testing.assert_array_equal(met.reshape(wanted.shape), wanted)


@pytest.mark.parametrize(
    "kind", ["pytorch", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("onnx", "keras"))]
)
def test_front_end_with_several_ends(tmp_path, kind):
    """Two inputs, two outputs, one of them also read by a layer."""
    if kind == "keras":
        pytest.importorskip("tf_keras", reason="needs pip install 'muxflow[qkeras]'")
    graph = NETWORKS["crossed"]()
    write_graph(graph, tmp_path / "graph.npz")
    codes = batch(graph, 5)
    np.savez(tmp_path / "values.npz", *codes.values())
    run(kind, SEVERAL, tmp_path, np.zeros(0), "Vitis")
    for wanted, met in zip(graph(codes), np.load(tmp_path / "outputs.npz").values(), strict=True):
        np.testing.assert_array_equal(met.reshape(wanted.shape), wanted)
    if kind == "pytorch":
        for wanted, met in zip(graph(codes), np.load(tmp_path / "prepared.npz").values(), strict=True):
            np.testing.assert_array_equal(met.transpose(0, 2, 3, 1), wanted)


class Sum(torch.nn.Module):
    """Two quantized inputs, added."""

    def __init__(self):
        super().__init__()
        quantizer = signed_quantizer(ActQuantSolver, 8, INPUT_SCALE, narrow=False)
        self.left, self.right = QuantIdentity(act_quant=quantizer), QuantIdentity(act_quant=quantizer)

    def forward(self, left, right):
        return self.left(left) + self.right(right)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_pytorch_network_of_two_inputs():
    """`input_shape` has one shape an input; the layers are those of the network."""
    trained = Sum().eval()
    model = muxflow.prepare_for_hls4ml(trained, input_shape=((2, 3, 4), (2, 3, 4)))
    values = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 2, 2, 3, 4)).astype(np.float32))
    np.testing.assert_array_equal(model(*values).numpy(), trained(*values).detach().numpy())
