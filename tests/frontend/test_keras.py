"""Keras and QKeras models: the graph equals Keras' own predict, layer by layer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from given import Given

import muxflow
from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import MismatchError, MuxflowError, ToolError, UnsupportedError
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.importer.walk import check_model, import_model
from muxflow.frontend.keras import process as keras_process
from muxflow.frontend.keras import reader
from muxflow.frontend.keras.child import Predictor
from muxflow.frontend.keras.execution import KerasExecution, keras_execution
from muxflow.frontend.keras.process import ENVIRONMENT, HDF5, SUFFIXES
from muxflow.frontend.keras.reader import describe_models, read_keras
from muxflow.frontend.model import ImportOptions
from muxflow.frontend.qonnx.ops import mux_join, or_join
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.hybrid import HybridTensorQuant
from muxflow.frontend.training.joins import MuxJoin
from muxflow.frontend.training.quantizers import HEQTensorQuant
from muxflow.proof.compare import compare
from muxflow.proving import model_copy, prove, random_images

LAYERS = {
    "same_stride": ["a", "b"],
    "batch_norm": ["a", "b", "max_pooling2d"],
    "binary_net": ["a", "b", "c"],
    "stochastic": ["a", "b", "c"],
    "residual": ["a", "b", "c", "d", "e"],
    "averages": ["a", "b", "c"],
    "grouped": ["a", "b", "c", "start"],
    "po2": ["a", "b", "c", "d", "e"],
    "wide": ["a", "b"],
    "sixteen": ["a", "b"],
    "float_relu": ["a", "b"],
    "plain": ["a", "b", "c", "d"],
    "features": ["a"],
    "joins": ["a", "b", "c", "d", "e", "f0", "f1", "f2", "f3", "f4"],
    "nested": ["a"],
    "radio": ["a", "b", "c", "d", "max_pooling1d", "max_pooling1d_1"],
    "padded": ["a", "b", "c"],
    "folded": ["a", "b", "c"],
    "resized": ["a", "b", "c", "cropped", "d", "e", "larger", "pooled"],
    "digits": ["a", "b", "max_pooling2d_1"],
    "ern_basic": sorted(
        ["act", "stem0", "stem1", "thermometer", *(f"block{b}_act{i}" for b in ("0_0", "1_0", "1_1") for i in (0, 1))]
    ),
    "ern_bottleneck": sorted(
        [
            "act",
            "stem0",
            "stem1",
            "thermometer",
            *(f"block{b}_act{i}" for b in ("0_0", "0_1", "1_0") for i in (0, 1, 2)),
        ]
    ),
    "mobilenet_hybrid": ["block0", "block0_act", "block1", "block1_act", "pooled", "stem"],
    "mobilenet_all": ["block0", "block0_act", "pooled", "stem"],
}
"""Quantizers and pools whose codes are compared, the logits aside."""
OPTIONS = {"plain": ImportOptions(1 / 128, 8, True)}
PORTS = {
    "fusion": (2, 1, 5),
    "heads": (1, 2, 3),
    "encoder_mixed": (1, 2, 11),
    "encoder_shared_bias": (1, 2, 11),
    "encoder_measured": (1, 2, 13),
}
"""Inputs, outputs and compared tensors of models of several; what Keras computes of them is asked for in the tests."""
FILES = [*LAYERS, "bad", "lone", "recurrent", *PORTS]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Model files with what Keras computes, made by one start of TensorFlow."""
    folder = tmp_path_factory.mktemp("keras")
    program = Path(__file__).parent / "keras_models.py"
    done = subprocess.run(
        [sys.executable, program, folder], env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("junk.h5", "junk.keras", "empty.h5"):
        (folder / name).write_bytes(b"" if name == "empty.h5" else b"PK\x03\x04 no model")
    whole = model_file(folder, "same_stride").read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    return folder


def model_file(folder, name):
    (path,) = (path for path in folder.glob(f"{name}.*") if path.suffix in SUFFIXES)
    return path


@pytest.fixture(scope="session")
def described(folder):
    """What the child says of every file, from one start of TensorFlow."""
    broken = ["junk.h5", "junk.keras", "empty.h5", "cut.h5"]
    models = describe_models([*(model_file(folder, name) for name in FILES), *(folder / name for name in broken)])
    return dict(zip(FILES + broken, models, strict=True))


def input_codes(graph, x):
    stream = graph.streams[graph.inputs[0]]
    codes = np.rint(x.astype(np.float64) / stream.scale[0]).astype(np.int64)
    assert np.array_equal(codes * stream.scale[0], x)
    return codes.reshape(len(x), *stream.shape)


def saved(folder, name):
    """(input, output, layers by name in the importer's (N, C, H, W) order)"""
    values = dict(np.load(folder / f"{name}.npz"))
    x, output = values.pop("x"), values.pop("output")
    return x, output, {key: np.moveaxis(v, -1, 1) if v.ndim > 2 else v for key, v in values.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_graph_equals_predict(name, folder, described):
    graph = import_model(described[name], OPTIONS.get(name))
    x, output, found = saved(folder, name)
    codes = input_codes(graph, x)
    tensors = {stream: found[layer] for stream, layer in graph.tensors.items() if layer in found}
    assert sorted(layer for layer in graph.tensors.values() if layer in found) == LAYERS[name]
    assert all(len(np.unique(values)) > 1 for values in tensors.values())
    compare(graph, [Given("Keras predict", graph, (output,), tensors)], codes)
    assert graph.readouts
    logits = graph.read_out(graph(codes))
    assert logits.shape == output.shape
    np.testing.assert_allclose(logits, output, rtol=1e-5, atol=1e-6)


def test_a_wrong_value_is_found(folder, described):
    graph = import_model(described["digits"])
    x, output, found = saved(folder, "digits")
    found["a"][3, 1, 2, 4] += 0.5
    tensors = {stream: found[layer] for stream, layer in graph.tensors.items()}
    with pytest.raises(MismatchError, match=r"first at a: image 3, index \(2, 4, 1\)"):
        compare(graph, [Given("Keras predict", graph, (output,), tensors)], input_codes(graph, x)[:50])


def test_digits_are_recognised(folder, described):
    from sklearn.datasets import load_digits

    graph = import_model(described["digits"])
    x, _, _ = saved(folder, "digits")
    assert (graph.read_out(graph(input_codes(graph, x))).argmax(1) == load_digits().target[1500:]).mean() > 0.7


def test_quantized_kernels_carry_their_codes(described, without_codes, tmp_path):
    """What the importer would find in the floats is what the quantizer says."""
    model = described["same_stride"]
    known = {name: constant for name, constant in model.constants.items() if constant.codes is not None}
    assert len(known) == 3
    for name, one in {"bare": without_codes(model), "known": model}.items():
        write_graph(import_model(one), tmp_path / f"{name}.npz")
    assert (tmp_path / "bare.npz").read_bytes() == (tmp_path / "known.npz").read_bytes()
    for constant in known.values():
        assert np.array_equal(constant.codes * constant.scale, constant.value)


SEARCHED = {
    "resized": {"conv2d_transpose", "conv2d_transpose_1"},
    "mobilenet_all": {"stem_conv", "block0_depthwise", "logits"},
}
"""Keras' own layers, whose kernels no quantizer made, and hybrid banks, whose rows have several grids, by model."""


def test_no_grid_is_searched_for(described, searched, without_codes):
    """Every quantized kernel carries codes, one scale for all or one a channel, the same that a search would find."""
    by_channel = set()
    for name in sorted({*LAYERS, *PORTS} - {"plain"}):  # its layers have no quantizers
        graph = import_model(described[name])
        assert set(searched) == SEARCHED.get(name, set())
        searched.clear()
        known = [constant for constant in described[name].constants.values() if constant.codes is not None]
        by_channel |= {name} if any(constant.scale.size > 1 for constant in known) else set()
        for constant in known:
            assert np.array_equal((constant.codes * constant.scale).astype(np.float32), constant.value)
        found = import_model(without_codes(described[name]))
        assert bool(searched) == bool(known)
        searched.clear()
        for node, other in zip(graph.nodes, found.nodes, strict=True):
            if isinstance(node.op, RomWeights):
                assert np.array_equal(node.op.weights, other.op.weights)
    assert by_channel == {"batch_norm", "binary_net", "ern_basic", "ern_bottleneck", "folded", "stochastic"}


def test_groups_stay_groups(described):
    graph = import_model(described["grouped"])
    assert [node.op.groups for node in graph.nodes if isinstance(node.op, MatrixVector)] == [1, 4, 12, 24, 1]


@pytest.mark.parametrize("append", [append_arg_max, lambda graph: append_top_k(graph, 3)])
def test_classes_that_leave_the_chip_are_those_of_the_largest_logits(append, folder, described):
    graph = append(import_model(described["joins"]))
    x, output, _ = saved(folder, "joins")
    codes = input_codes(graph, x)[:50]
    compare(graph, [Given("Keras predict", graph, (output,))], codes)
    with pytest.raises(MismatchError, match="Keras predict differs from the graph first at"):
        compare(graph, [Given("Keras predict", graph, (np.roll(output, 2, axis=1),))], codes)


def test_tensors_of_models_inside_are_compared_too(folder, described):
    graph = import_model(described["nested"])
    inside = ["block/a", "block/a_2", "block/deep/a", "block/deep/a_2"]
    assert sorted(graph.tensors.values()) == ["a", *inside]
    x, _, _ = saved(folder, "nested")
    with keras_execution(model_file(folder, "nested"), graph) as execution:
        (agreed,) = compare(graph, [execution], input_codes(graph, x)).outcomes
    assert (len(agreed.streams), agreed.images) == (6, len(x))


def test_what_a_sigmoid_at_the_end_reads_is_compared(folder, described):
    graph = import_model(described["resized"])
    assert "(Activation) is left to the host" in graph.notes["remarks"]
    x, _, _ = saved(folder, "resized")
    with keras_execution(model_file(folder, "resized"), graph) as execution:
        (agreed,) = compare(graph, [execution], input_codes(graph, x)).outcomes
    assert len(agreed.streams) == len(LAYERS["resized"]) + 1


@pytest.mark.parametrize("name", PORTS)
def test_several_inputs_and_outputs_up_to_the_simulation(name, folder, described, tmp_path):
    path, (inputs, outputs, tensors) = model_file(folder, name), PORTS[name]
    graph = import_model(described[name])
    assert (len(graph.inputs), len(graph.outputs)) == (inputs, outputs)
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path, extra=model_copy(path))
    images = random_images(graph, 30)
    rungs, _, _ = prove(project, images, variants=("native",))
    equal = {rung.title: rung for rung in rungs if rung.status == "equal"}
    assert list(equal) == ["Keras predict (TensorFlow)", "C simulation, native integers"]
    assert equal["Keras predict (TensorFlow)"].detail.startswith(f"{tensors} tensors")
    streams = graph.evaluate(images.codes, graph.constants())
    for output in graph.outputs:
        span = graph.streams[output].hi - graph.streams[output].lo
        assert len(np.unique(streams[output])) > min(5, span)  # both values of a code of one bit


def test_the_layers_of_an_encoder_are_those_of_torch(folder):
    """Values, shifts and gradients of HEQ and of the bit-shift norm, for a bias a channel and one for all."""
    found = {name: torch.from_numpy(value) for name, value in np.load(folder / "encoder_twins.npz").items()}
    for levels in (3, 5, 7):
        w = found["weights"].requires_grad_()
        values = HEQTensorQuant(levels, "power_of_two", 1.0, [w])(w)[0]
        assert torch.equal(values, found[f"heq{levels}"])
        (gradient,) = torch.autograd.grad((values * found["pulls"]).sum(), w)
        torch.testing.assert_close(gradient, found[f"dheq{levels}"])
    sums, pull = (found[name].permute(0, 3, 1, 2) for name in ("sums", "pull"))
    for bias_per in ("channel", "layer"):
        norm = BitShiftNorm2d(6, 1 / 8, 1 / 4, deviation=0.25, mean=0.5, bias_per=bias_per)
        x = sums.clone().requires_grad_()
        y = norm(x)
        (y * pull).sum().backward()
        assert float(norm.shift) == float(found[f"{bias_per}_shift"]) > 0
        assert torch.equal(y, found[f"{bias_per}_y"].permute(0, 3, 1, 2))
        torch.testing.assert_close(x.grad, found[f"{bias_per}_dx"].permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)
        for name, weight in (("dbeta", norm.bias), ("dgamma", norm.weight)):
            torch.testing.assert_close(weight.grad, found[f"{bias_per}_{name}"], rtol=1e-3, atol=1e-3)
        with torch.no_grad():
            assert torch.equal(norm.eval()(sums), found[f"{bias_per}_after"].permute(0, 3, 1, 2))


def test_an_encoder_of_keras_is_shifts(described):
    kinds = [type(node.op) for node in import_model(described["encoder_mixed"]).nodes]
    assert (kinds.count(ShiftClip), kinds.count(Threshold)) == (7, 2)  # activations of one bit are comparisons


def test_sixteen_bits_are_shifts_up_to_the_simulation(folder, described, tmp_path):
    """quantized_relu(16,6) and quantized_bits(16,6): no thresholds, Keras' codes, in both variants of the C simulation."""
    graph = import_model(described["sixteen"])
    kinds = [type(node.op) for node in graph.nodes]
    assert (kinds.count(ShiftClip), kinds.count(Threshold)) == (2, 0)
    assert graph.notes["near_ties"] == "0"
    assert max(graph.streams[name].bits for name in graph.tensors) == 16
    x, output, _ = saved(folder, "sixteen")
    codes = input_codes(graph, x)[:4]
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path)
    for variant in ("native", "reference"):
        found = project.csim(codes, variant).outputs
        np.testing.assert_allclose(graph.read_out(found), output[:4], rtol=1e-5, atol=1e-6)


def test_a_graph_of_other_inputs_and_outputs_is_named(folder, described, tmp_path):
    predictor = Predictor(["x"], ["y"], {}, lambda tensors: None)
    with pytest.raises(MuxflowError, match="the model has 1 inputs, the graph 2: it was not imported from it"):
        predictor.run([], [np.zeros(1)] * 2)
    with pytest.raises(MuxflowError, match="the model has no tensor a: the graph was not imported from it"):
        predictor.run(["a"], [np.zeros(1)])

    class OneOutput:
        def ask(self, question):
            np.savez(tmp_path / "outputs.npz", *np.zeros((1 + len(json.loads(question)), 1)))
            return {"error": None}

    graph = import_model(described["heads"])
    execution = KerasExecution(model_file(folder, "heads"), graph, OneOutput(), tmp_path)
    with pytest.raises(MismatchError, match=r"heads\.keras: the model has 1 outputs, the graph 2: it was not imported"):
        compare(graph, [execution], random_images(graph, 1).codes)


def test_inputs_keep_their_order_and_vectors_their_form(described):
    graph = import_model(described["fusion"])
    assert graph.inputs == ("features", "signal")
    assert [graph.streams[name].shape for name in (*graph.inputs, "b", "c")] == [(1, 1, 5), (12, 2), (1, 4), (1, 1, 4)]


def test_generated_weights_stay_generated(folder, described):
    graph = import_model(described["joins"])
    expected = {
        "made0": AutomatonWeights(4, 3, ring=24, seed=3, burn_in=24, repeats=30),
        "made1": AutomatonWeights(6, 4, ring=40, rule=45, burn_in=2, repeats=30),
        "made2": AutomatonWeights(5, 6, ring=24, alphabet="ternary", seed=1, burn_in=24, repeats=30),
        "made3": AutomatonWeights(5, 5, ring=30, burn_in=30, repeats=30),
        "made4": AutomatonWeights(7, 5, ring=24, seed=2, burn_in=24, repeats=30),
    }
    assert {n.name.removesuffix("_weights"): n.op for n in graph.nodes if n.name.endswith("_weights")} == expected
    x, _, found = saved(folder, "joins")
    weights = Automaton(24, 30, 3).weights(4, 3) / 2
    assert np.array_equal(found["made0"], np.einsum("oc,nhwc->nohw", weights, x))


@pytest.mark.parametrize("select", ["channel", "channel-mean", "element", "always", "or"])
def test_joins_equal_the_integer_operators_and_the_torch_layers(select, folder):
    with np.load(folder / f"join_{select}.npz") as found:
        values = dict(found)
    x, f = (np.rint(8 * values[name]).astype(np.int64).transpose(0, 3, 1, 2) for name in ("x", "f"))
    integers = values.get("integers", np.empty(0)).astype(np.int64)
    expected = or_join(x, f) if select == "or" else mux_join(x, f, integers, select)
    assert np.array_equal(values["y"].transpose(0, 3, 1, 2) * 8, expected)

    join = MuxJoin(6, 7, "always", mix="or") if select == "or" else MuxJoin(6, 7, select)
    inputs = [torch.from_numpy(values[name].transpose(0, 3, 1, 2).copy()).requires_grad_() for name in ("x", "f")]
    if integers.size:
        join.threshold.data = torch.from_numpy(8 * values["threshold"])
        assert len(set(integers.tolist())) > 2
    (join(*inputs) * torch.from_numpy(values["weights"].transpose(0, 3, 1, 2).copy())).sum().backward()
    for name, tensor in zip(("dx", "df"), inputs, strict=True):
        np.testing.assert_allclose(values[name].transpose(0, 3, 1, 2), tensor.grad.numpy(), atol=1e-5)
    if integers.size:
        assert values["dthreshold"].any()
        np.testing.assert_allclose(values["dthreshold"], 8 * join.threshold.grad.numpy(), atol=1e-4)


def test_one_file_to_a_graph(folder, described, tmp_path):
    """The whole way through the public door, a process of its own included; deterministic."""
    graph = muxflow.load(model_file(folder, "digits"))
    write_graph(graph, tmp_path / "once.npz")
    write_graph(import_model(described["digits"]), tmp_path / "again.npz")
    assert (tmp_path / "once.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert not complaints(described["digits"])
    assert muxflow.fit(graph, "pynq-z2").graph.nodes


def complaints(description):
    return {status.node: status.message for status in check_model(description) if not status.supported}


def test_what_is_not_supported_is_named(described):
    bad, lone = complaints(described["bad"]), complaints(described["lone"])
    assert "it has more than 65536 values" in bad["wide"]
    assert "not reached" in bad["larger"]
    assert "quantized_bits(4,0,1,alpha='auto'): alpha='auto' takes the scale from each batch" in lone["moving"]
    assert "two results for one input" in lone["random"]
    assert "hard_tanh: it has more than 65536 values" in lone["smooth"]
    assert "no multiples of one step" in lone["ulaw"]
    assert (
        "powers (QActivation): a quantizer with codes from -32768 to 32768; supported are 16 bits: its"
        in lone["powers"]
    )
    assert "32,767 steps between codes; up to 4,095" in lone["fine_powers"]
    for name in ("powers", "fine_powers"):
        assert "ts values lie on the grid of the smallest one, so use fewer bits, or " in lone[name]
        assert "as quantized_relu_po2(4, max_value=4): 1 or less makes its grid finer" in lone[name]
    assert "few_powers" not in lone
    assert "activation quantized_hswish: it falls from" in lone["turning"]
    assert "supported are quantizers that only rise" in lone["turning"]
    assert "kernel quantizer bernoulli(alpha=1) rounds at random" in lone["random_weights"]
    assert "lost (QConv2D): its kernel holds NaN or infinity; the training diverged" in lone["lost"]
    assert "trains (Dropout): called with training=True, so predict trains" in lone["trains"]
    assert "half (QActivation): computes in float16; supported is float32" in lone["half"]
    assert "rows (BatchNormalization): axis=[1]; supported is the last axis" in lone["rows"]
    plain = complaints(described["plain"])
    assert len(plain) == 1 and "say what its integers are: input_bits=8" in plain["conv2d"]
    with pytest.raises(UnsupportedError, match=r"^wide \(QActivation\): activation quantized_relu\(17,2"):
        import_model(described["bad"])


def test_recurrent_layers_and_wrappers_are_named_with_what_to_do(described):
    found = complaints(described["recurrent"])
    assert (
        "memory (QLSTM): not supported; it gives its output and takes the tanh of its state before either"
        in found["memory"]
    )
    for name, kind in {"memory": "QLSTM", "both": "Bidirectional", "gated": "GRU", "cells": "RNN"}.items():
        assert f"{name} ({kind}): not supported; " in found[name]
        assert "muxflow.frontend.training.lstm.QuantLstm), which exports as LstmCell" in found[name]
    assert "each (TimeDistributed): not supported; leave it out around dense layers" in found["each"]
    assert "masked (Masking): not supported; leave it out: every sequence has" in found["masked"]


@pytest.mark.parametrize("name", ["junk.h5", "junk.keras", "empty.h5", "cut.h5"])
def test_files_that_are_no_models(name, described):
    assert type(described[name]) is MuxflowError
    assert f"{name}: Keras cannot read it (" in str(described[name])


@pytest.mark.parametrize("content", [b"", b"junk" * 99, HDF5 + b"junk" * 99])
def test_a_broken_file_is_refused_without_a_start_of_keras(content, tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "keras_child", None)
    (tmp_path / "broken.h5").write_bytes(content)
    with pytest.raises(MuxflowError, match=r"broken\.h5: Keras cannot read it \("):
        read_keras(tmp_path / "broken.h5")


def test_absent_file_and_absent_extra(folder, tmp_path, monkeypatch):
    with pytest.raises(MuxflowError, match=r"net\.h5: no such file; supported are"):
        muxflow.load(tmp_path / "net.h5")
    monkeypatch.setattr(keras_process, "MODULES", ("json", "no_such_module"))
    with pytest.raises(ToolError, match=r"need no_such_module, which .* pip install .*\[qkeras\]"):
        muxflow.load(model_file(folder, "digits"))


def test_child_that_dies(folder, monkeypatch):
    monkeypatch.setattr(keras_process, "ENVIRONMENT", {"PYTHONHOME": str(folder)})
    with pytest.raises(ToolError, match=r"digits\.\w+: the process that runs Keras ended with code 1:\n"):
        muxflow.check(model_file(folder, "digits"))


def test_layers_under_keras_3_say_what_to_do():
    code = "import muxflow.frontend.training.keras.mognet"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_USE_LEGACY_KERAS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "ToolError: the Keras layers of Muxflow are made of Keras 2, but tf.keras is Keras 3" in done.stderr
    assert "set TF_USE_LEGACY_KERAS=1" in done.stderr


def test_importing_starts_no_tensorflow():
    code = "import sys, muxflow.frontend.keras.reader; assert not {'tensorflow', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_banks_in_all_layers_are_divided(described):
    """One quantizer for filters of two kinds: stem, pointwise layer and classifier become two products each."""
    graph = import_model(described["mobilenet_all"])
    assert sum(isinstance(node.op, Concat) for node in graph.nodes) == 3
    rows = [graph.streams[node.inputs[1]] for node in graph.nodes if isinstance(node.op, MatrixVector)]
    assert sorted(len(w.constant) for w in rows) == [3, 8, 8, 9, 24, 24, 32]


def test_the_parts_of_a_bank_take_the_bits_of_their_kind(described):
    """Ternary filters with powers of two of their own take two bits, though QKeras writes all on one grid."""
    graph = import_model(described["mobilenet_hybrid"])
    rows = {node.name: graph.streams[node.inputs[1]] for node in graph.nodes if isinstance(node.op, MatrixVector)}
    ternary = {name: w.bits for name, w in rows.items() if name.endswith("_ternary")}
    assert ternary == {"block0_pointwise_ternary": 2, "block1_pointwise_ternary": 2}


def test_hybrid_banks_are_those_of_torch(folder):
    """Equal values, to the last bit, of both kinds of filters in their own order of axes."""
    found = np.load(folder / "bank_twins.npz")
    for name, axes in (("pointwise", (3, 2, 0, 1)), ("depthwise", (2, 3, 0, 1))):
        weights = torch.from_numpy(found[name].transpose(axes))
        for bits in (4, 8):
            values = HybridTensorQuant(10, bits)(weights)[0]
            assert np.array_equal(values, found[f"{name}{bits}"].transpose(axes))
            assert values[1:].flatten(1).any(1).all()
        assert str(found[f"{name} refused"]).startswith("hybrid bank: 31 precise filters, its layer has 30")
