"""hls4ml's own converters on prepared models: predict equals the trained network, from ONNX, PyTorch and Keras 2."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from front_end import run
from qonnx.core.onnx_exec import execute_onnx

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.graph import Readout
from muxflow.dataflow.graph.stream import random_codes
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.zoo_mobilenet import Mobilenet, MobilenetConfig
from muxflow.hls import hls4ml
from muxflow.hls.hls4ml.cutting import plan
from muxflow.hls.hls4ml.plan import Convolution, MaxPool
from muxflow.hls.kernels import KERNELS

DIGITS = Path(hls4ml.__file__).parents[2] / "frontend" / "training" / "pretrained" / "mognet_digits.onnx"

TRACE = """
model = prepare_for_hls4ml(folder / "model.onnx")
config = hls4ml.utils.config_from_onnx_model(model, **common)
for layer in config["LayerName"].values():
    layer["Trace"] = True
converted = hls4ml.converters.convert_from_onnx_model(model, hls_config=config, **options)
converted.write()
outputs, traced = converted.trace(pixels)  # compiles
np.savez(folder / "traced.npz", **traced)
np.save(folder / "outputs.npy", outputs)
"""
PYTORCH = """
import torch
from muxflow.frontend.training import zoo
trained = zoo.randomise(zoo.build("mognet_digits", n=8, g=2, blocks=1, select="or"))
model = prepare_for_hls4ml(trained, input_shape=(1, 8, 8))
images = torch.from_numpy(pixels.transpose(0, 3, 1, 2))
with torch.no_grad():
    np.save(folder / "trained.npy", trained(images.float()).numpy())
    np.save(folder / "prepared.npy", model(images).numpy())
config = hls4ml.utils.config_from_pytorch_model(model, (1, 8, 8), **common)
converted = hls4ml.converters.convert_from_pytorch_model(model, hls_config=config, **options)
converted.compile()
np.save(folder / "outputs.npy", converted.predict(images.numpy()))
"""
KERAS = """
import tensorflow as tf
from muxflow.frontend.training.keras.zoo import mognet
tf.keras.utils.set_random_seed(0)
trained = mognet(n=8, groups=2, blocks=1, select="element")
generator = np.random.default_rng(0)
for layer in trained.layers:
    if layer.name.endswith("norm"):
        scale, *rest = layer.get_weights()
        layer.set_weights([generator.uniform(0.2, 0.5, scale.shape).astype("float32"), *rest])
model = prepare_for_hls4ml(trained)
np.save(folder / "trained.npy", trained(pixels).numpy())
np.save(folder / "prepared.npy", model.predict(pixels, verbose=0))
tf.keras.models.clone_model(model)  # the layers can be made again from their configuration
config = hls4ml.utils.config_from_keras_model(model, **common)
converted = hls4ml.converters.convert_from_keras_model(model, hls_config=config, **options)
converted.compile()
np.save(folder / "outputs.npy", converted.predict(pixels))
"""


def small_mognet(folder: Path, **options: object) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="cellular automaton: a ring")
        model = zoo.randomise(zoo.build("mognet_digits", n=8, g=2, blocks=1, **options))
    return export(model, folder / "model.onnx", (1, 1, 8, 8))


def execute(model, values: np.ndarray) -> np.ndarray:
    """QONNX' own execution, image by image."""
    name = model.graph.input[0].name
    return np.concatenate([next(iter(execute_onnx(model, {name: one[None]}).values())) for one in values])


@pytest.mark.parametrize("select", ["channel", "channel-mean", "always"])
def test_prepared_onnx_is_the_trained_network(tmp_path, select):
    """Values in, values out, by QONNX' execution of both files."""
    path = small_mognet(tmp_path, select=select)
    graph = muxflow.load(path)
    codes = random_codes(graph.streams[graph.inputs[0]], 3, np.random.default_rng(0))
    values = execute(muxflow.prepare_for_hls4ml(path), (codes / 256).astype(np.float32))
    np.testing.assert_array_equal(values, graph.read_out(graph(codes)).astype(np.float32))


@pytest.mark.parametrize("banks", ["pointwise", "all"])
def test_prepared_hybrid_filter_banks(tmp_path, banks):
    config = MobilenetConfig((32, 32), (2, 1), banks=banks, classes=12, input_shape=(2, 8, 8))
    model = randomise(seeded(Mobilenet, config, 1))
    path = export(model, tmp_path / "bank.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    codes = random_codes(graph.streams[graph.inputs[0]], 3, np.random.default_rng(0))
    values = execute(muxflow.prepare_for_hls4ml(path), (codes / 256).astype(np.float32))
    np.testing.assert_array_equal(values, graph.read_out(graph(codes)).astype(np.float32))


@pytest.mark.parametrize("seed", range(6))
def test_prepared_random_graph(make_random_design, seed):
    """Forks, every join, odd maps: codes where there is no readout."""
    graph = unfolded(make_random_design(seed).graph)
    codes = random_codes(graph.streams[graph.inputs[0]], 3, np.random.default_rng(seed))
    values = execute(muxflow.prepare_for_hls4ml(graph), codes.astype(np.float32))
    np.testing.assert_array_equal(values.reshape(3, -1), graph(codes).reshape(3, -1))


def test_what_stays_hls4mls():
    """Dense convolutions and maximum pools are hls4ml's own layers; groups, generated weights and joins are ours."""
    layers = {layer.name: layer for layer in plan(muxflow.load(DIGITS)).layers}
    own = [name for name, layer in layers.items() if isinstance(layer, Convolution)]
    assert own == ["stem_0", *(f"stages_{number}_body_expand_0" for number in (0, 1, 3, 4, 6, 7)), "classifier"]
    assert [name for name, layer in layers.items() if isinstance(layer, MaxPool)] == ["stages_2", "stages_5"]
    grouped, generated, join = (
        layers[name] for name in ("stages_0_body_mix_0", "stages_0_body_project_0", "stages_0_join")
    )
    assert [node.op.kind for node in grouped.graph.nodes] == ["SlidingWindow", "RomWeights", "MatrixVector"]
    assert [node.op.kind for node in generated.graph.nodes] == ["AutomatonWeights", "MatrixVector"]
    assert [node.op.kind for node in join.graph.nodes] == ["Fork", "ChannelSelect", "MuxJoin"]
    assert "matrix" not in generated.to_json()  # the weights are generated, not stored


def test_all_layers_ours(tmp_path):
    """Without standard layers nothing but the input is hls4ml's own."""
    path = small_mognet(tmp_path)
    model = muxflow.prepare_for_hls4ml(path, standard_layers=False)
    assert {node.op_type for node in model.graph.node} == {"MuxflowLayer"}
    graph = muxflow.load(path)
    codes = random_codes(graph.streams[graph.inputs[0]], 2, np.random.default_rng(0))
    values = execute(model, (codes / 256).astype(np.float32))
    np.testing.assert_array_equal(values, graph.read_out(graph(codes)).astype(np.float32))


def test_every_layer_by_trace(tmp_path):
    """hls4ml's trace() gives the integer graph's value of every array."""
    graph = muxflow.load(small_mognet(tmp_path))
    codes = random_codes(graph.streams[graph.inputs[0]], 5, np.random.default_rng(0))
    run("onnx", TRACE, tmp_path, (codes + 0.25) / 256, "Vitis")  # off the grid: rounded at the input
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), graph.read_out(graph(codes)))
    known = graph.run(codes)
    compared = 0
    for name, values in np.load(tmp_path / "traced.npz").items():
        stream = name.removeprefix("Conv2D_")
        if stream in known:
            (scale,) = graph.streams[stream].scale
            np.testing.assert_array_equal(values, known[stream] * scale, err_msg=name)
            compared += 1
    assert compared == 27


def test_pytorch_front_end(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)) / 256
    run("pytorch", PYTORCH, tmp_path, pixels, "Vivado")
    trained, prepared, outputs = (np.load(tmp_path / f"{name}.npy") for name in ("trained", "prepared", "outputs"))
    np.testing.assert_array_equal(outputs, prepared)
    np.testing.assert_allclose(prepared, trained, rtol=0, atol=1e-6)  # the trained network rounds to float32


def test_keras_front_end(tmp_path):
    pytest.importorskip("tf_keras", reason="needs pip install 'muxflow[qkeras]'")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)) / 256
    run("keras", KERAS, tmp_path, pixels, "Vitis")
    trained, prepared, outputs = (np.load(tmp_path / f"{name}.npy") for name in ("trained", "prepared", "outputs"))
    np.testing.assert_array_equal(outputs, prepared)
    np.testing.assert_allclose(prepared, trained, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return muxflow.prepare_for_hls4ml(small_mognet(tmp_path_factory.mktemp("small")))


@pytest.fixture
def converted(prepared, tmp_path):
    """Converts with a changed configuration; nothing is compiled."""
    import hls4ml as package

    def convert(change, backend="Vitis", io_type="io_stream"):
        config = package.utils.config_from_onnx_model(prepared, granularity="name", backend=backend)
        change(config["LayerName"])
        return package.converters.convert_from_onnx_model(
            prepared, hls_config=config, io_type=io_type, backend=backend, output_dir=str(tmp_path / "p")
        )

    return convert


def precision(layer, what, given):
    def change(config):
        config[layer]["Precision"][what] = given

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            precision("stages_0_body_expand_0", "result", "fixed<5,2>"),
            r"layer stages_0_body_expand_0: its result type .*fixed<5,2.* does not hold \[.*\]",
        ),
        (
            precision("stages_0_body_expand_0", "accum", "fixed<9,3>"),
            r"layer stages_0_body_expand_0: its accum type .* to 'fixed<\d+,\d+>' or wider",
        ),
        (precision("global_in_values", "result", "fixed<10,3>"), r"layer global_in_values: its result type"),
        (precision("stages_1", "result", "ufixed<2,0>"), r"layer stages_1: its result type"),
    ],
)
def test_rounding_layers_are_named(converted, change, message):
    with pytest.raises(UnsupportedError, match=message):
        converted(change)


def test_rounded_weights_are_named(tmp_path):
    """PyTorch's front end knows no weight quantizers: the weights' type is what the user configures."""
    import hls4ml as package

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="cellular automaton: a ring")
        trained = zoo.randomise(zoo.build("mognet_digits", n=8, g=2, blocks=1))
    model = muxflow.prepare_for_hls4ml(trained, input_shape=(1, 8, 8))
    config = package.utils.config_from_pytorch_model(model, (1, 8, 8), granularity="name", backend="Vitis")
    config["LayerName"]["stages_0_body_expand_0"]["Precision"]["weight"] = "ufixed<2,2>"
    with pytest.raises(
        UnsupportedError, match=r"layer stages_0_body_expand_0: its weight type .* does not hold the trained weights"
    ):
        package.converters.convert_from_pytorch_model(
            model, hls_config=config, io_type="io_stream", backend="Vitis", output_dir=str(tmp_path)
        )


def test_default_types_are_exact(converted):
    converted(lambda config: None, backend="Vivado")


def test_streams_only(converted):
    with pytest.raises(UnsupportedError, match=r"our layers are streams; convert with io_type='io_stream'"):
        converted(lambda config: None, io_type="io_parallel")


def test_unprepared_models_are_refused(tmp_path):
    """A file as it was exported: what hls4ml would misread has an error that names the layer and the cure."""
    hls4ml.register()
    import hls4ml as package

    model = onnx.load(small_mognet(tmp_path))
    only = next(node for node in model.graph.node if node.op_type == "MuxJoin")
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8, 8, 8]) for name in only.input]
    graph = onnx.helper.make_graph([only], "one", inputs, [])
    with pytest.raises(
        UnsupportedError, match=r"layer stages\.0\.join \(MuxJoin\): .* muxflow.prepare_for_hls4ml\(model\)"
    ):
        package.converters.parse_onnx_model(onnx.helper.make_model(graph))


def test_grouped_keras_convolution_is_refused():
    """hls4ml would read it as a dense one: 33 % of the values right."""
    hls4ml.register()
    from hls4ml.converters.keras_v2_to_hls import layer_handlers

    entry = {"class_name": "Conv2D", "config": {"name": "mix", "groups": 4}}
    with pytest.raises(UnsupportedError, match=r"layer mix \(Conv2D\): .* muxflow.prepare_for_hls4ml\(model\)"):
        layer_handlers["Conv2D"](entry, ["x"], [[None, 8, 8, 8]], None)


def test_prepare_says_what_it_needs():
    with pytest.raises(MuxflowError, match=r"prepare_for_hls4ml: an object of type dict; supported: a QONNX file"):
        muxflow.prepare_for_hls4ml({})
    with pytest.raises(MuxflowError, match=r"prepare_for_hls4ml\(Mognet\): .* give input_shape"):
        muxflow.prepare_for_hls4ml(zoo.build("mognet_digits"))


def test_values_that_no_type_holds(residual):
    """Codes in place of values at the input, rounded factors at the output: both are said."""
    stream = replace(residual.streams[residual.inputs[0]], scale=(1 / 255,))
    graph = replace(residual, streams={**residual.streams, residual.inputs[0]: stream})
    with pytest.warns(
        UserWarning, match=r"input x has scale .* which no fixed-point type holds: the model takes codes"
    ):
        muxflow.prepare_for_hls4ml(graph)
    last = residual.streams[residual.outputs[0]]
    order = np.arange(last.size).reshape(last.shape).transpose(2, 0, 1).reshape(-1)
    exact = Readout((0.3,), (0.1,), tuple(order.tolist()), (last.size,))
    with pytest.warns(UserWarning, match=r"the logits need 5\d bits after the point, \d+ are kept"):
        muxflow.prepare_for_hls4ml(replace(residual, readouts={residual.outputs[0]: exact}))
    odd = replace(exact, order=tuple(np.roll(order, 1).tolist()))
    with pytest.raises(UnsupportedError, match=r"permutes the last layer's elements"):
        muxflow.prepare_for_hls4ml(replace(residual, readouts={residual.outputs[0]: odd}))


def test_designs_have_no_trace(residual, device, tmp_path):
    from muxflow.dataflow.fit.folding import fit

    hls4ml.register()
    model = hls4ml.convert(fit(residual, KERNELS, device=device, board="b", clock_mhz=100), tmp_path)
    layer = next(layer for layer in model.get_layers() if layer.class_name == "MuxflowNode")
    layer.set_attr("trace", True)
    with pytest.raises(
        UnsupportedError, match=r"which hls4ml cannot trace; trace the model that .*prepare_for_hls4ml gives"
    ):
        model.apply_flow("vitis:apply_templates")


def test_same_bytes(prepared, tmp_path):
    again = muxflow.prepare_for_hls4ml(small_mognet(tmp_path))
    assert again.model.SerializeToString(deterministic=True) == prepared.model.SerializeToString(deterministic=True)
    assert not re.search(r"/(tmp|home|work)", str(again.model))
