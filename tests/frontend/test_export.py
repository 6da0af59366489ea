"""Exported files: equal to the model code by code, deterministic, without generated weights."""

import operator
import re
import subprocess
import sys
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from command_line import run
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import execute, export, read_metadata, to_qonnx
from muxflow.frontend.registry import check
from muxflow.frontend.training.zoo import build, randomise
from muxflow.proof.compare import compare
from muxflow.proving import random_images

SMALL = {"n": 8, "ring": 64, "blocks": 1}


def network(**options):
    return randomise(build("mognet_digits", **{**SMALL, **options}), seed=1)


def images(count, shape=(1, 8, 8)):
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(2)) / 256


def activations(model, x):
    """Outputs of all activation quantizers and of the last batch norm, in order, and the logits."""
    seen = []
    watched = [m for m in model.modules() if isinstance(m, qnn.QuantIdentity) or m is model.norm]
    hooks = [m.register_forward_hook(lambda _m, _i, output: seen.append(output.detach().numpy())) for m in watched]
    with torch.no_grad():
        logits = model(x).numpy()
    for hook in hooks:
        hook.remove()
    return seen, logits


@pytest.mark.parametrize(
    "options",
    [
        {"select": "channel"},
        {"select": "channel-mean", "k": 2},
        {"select": "element", "weight_levels": 7},
        {"select": "always", "k": 1, "weight_levels": "binary"},
        {"select": "or", "k": 4, "alphabet": "ternary", "automaton_seed": 3},
    ],
    ids=lambda o: o["select"],
)
def test_file_equals_model_code_by_code(options, tmp_path):
    model, x = network(**options), images(2)
    path = export(model, tmp_path / "net.onnx", (1, 1, 8, 8))
    tensors = execute(path, x.numpy(), every_tensor=True)
    graph = onnx.load(str(path)).graph
    stored = {i.name for i in graph.initializer}
    names = [n.output[0] for n in graph.node if n.op_type == "Quant" and n.input[0] not in stored]
    names.append(next(n.input[0] for n in graph.node if n.op_type == "GlobalAveragePool"))
    expected, logits = activations(model, x)
    assert len(names) == len(expected) == 12
    for name, values in zip(names, expected, strict=True):
        assert np.array_equal(tensors[name], values), name
    assert all(len(np.unique(values)) > 1 for values in expected)
    np.testing.assert_allclose(tensors["global_out"], logits, rtol=0, atol=1e-6)


def test_join_nodes_carry_the_contract(tmp_path):
    model = network(select="channel-mean")
    graph = onnx.load(str(export(model, tmp_path / "net.onnx", (1, 1, 8, 8)))).graph
    initializers = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    joins = [n for n in graph.node if n.op_type == "MuxJoin"]
    assert len(joins) == 3
    for node, (channels, side) in zip(joins, [(8, 8), (8, 4), (16, 2)], strict=True):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes == {"select": b"channel-mean", "scale": 0.125, "bits": 3}
        assert node.domain == "muxflow"
        thresholds = initializers[node.input[2]]
        assert (thresholds.dtype, thresholds.shape) == (np.float32, (channels,))
        assert (thresholds == np.ceil(7 / 4 * side * side)).all()
    always = onnx.load(str(export(network(select="always"), tmp_path / "b.onnx", (1, 1, 8, 8)))).graph
    assert {len(n.input) for n in always.node if n.op_type == "MuxJoin"} == {2}


def test_generated_weights_are_not_stored(tmp_path):
    model = network()
    graph = onnx.load(str(export(model, tmp_path / "net.onnx", (1, 1, 8, 8)))).graph
    generated = [n for n in graph.node if n.op_type == "AutomatonWeights"]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in generated[0].attribute}
    assert len(generated) == 3
    assert attributes == {
        "rule": 30, "ring": 64, "seed": 0, "burn_in": 64, "rows": 8, "columns": 8, "alphabet": b"binary", "scale": 0.25
    }  # fmt: skip
    consumers = {n.input[1]: n for n in graph.node if n.op_type == "Conv"}
    assert all(consumers[n.output[0]].input[0] == n.input[0] for n in generated)
    weights = [onnx.numpy_helper.to_array(i) for i in graph.initializer if len(i.dims) == 4 and i.dims[0] != 1]
    assert len(weights) == 1 + 2 * 3 + 1
    assert all(set(np.unique(w)) <= {-1, 0, 1} for w in weights)


def test_every_tensor_has_a_shape_and_nothing_tells_of_this_machine(tmp_path):
    path = export(network(), tmp_path / "net.onnx", (1, 1, 8, 8))
    graph = onnx.load(str(path)).graph
    annotated = {v.name for v in [*graph.value_info, *graph.output]}
    assert {o for n in graph.node for o in n.output} <= annotated
    assert not any(n.doc_string for n in graph.node)
    for text in (b"site-packages", b".py", str(tmp_path).encode()):
        assert text not in path.read_bytes()


def test_same_model_same_bytes_in_another_process(tmp_path):
    here = export(network(), tmp_path / "a.onnx", (1, 1, 8, 8), {"b": "2", "a": "1"}).read_bytes()
    code = (
        "from muxflow.frontend.training.zoo import build, randomise\nfrom muxflow.frontend.brevitas.export import export\n"
        f"model = randomise(build('mognet_digits', **{SMALL}), seed=1)\n"
        f"export(model, {str(tmp_path / 'b.onnx')!r}, (1, 1, 8, 8), {{'a': '1', 'b': '2'}})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "b.onnx").read_bytes() == here


def test_model_is_left_as_it_was(tmp_path):
    model = network().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    export(model, tmp_path / "net.onnx", (1, 1, 8, 8))
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.eval()
    assert len(model(images(3))) == 3


def test_metadata_round_trip(tmp_path):
    path = export(network(), tmp_path / "net.onnx", (1, 1, 8, 8), {"accuracy": "0.98", "split": "test"})
    assert read_metadata(path) == {"accuracy": "0.98", "split": "test"}
    with pytest.raises(MuxflowError, match="no such file"):
        read_metadata(tmp_path / "other.onnx")


def test_file_is_replaced_whole(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    export(network(), path, (1, 1, 8, 8))
    assert onnx.load(str(path)).graph.node
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_users_own_brevitas_model_exports(tmp_path):
    model = nn.Sequential(qnn.QuantConv2d(2, 3, 1), qnn.QuantReLU()).eval()
    path = export(model, tmp_path / "own.onnx", (1, 2, 4, 4))
    x = images(1, (2, 4, 4))
    np.testing.assert_allclose(execute(path, x.numpy())["global_out"], model(x).detach().numpy(), atol=1e-5)


def documented(words):
    """The code of the page that holds these words."""
    page = (Path(__file__).parents[2] / "docs" / "guide" / "brevitas.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if words in block)
    return code


def test_the_documented_model_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(documented("model = nn.Sequential"), names)
    assert names["logits"].shape == (1, 10)
    assert read_metadata("model.onnx") == {"split": "test"}


def test_the_documented_residual_goes_from_torch_to_the_report(tmp_path, monkeypatch):
    """The page's own commands: a grouped residual with stock batch norms, simulated on a user's images."""
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(documented("residual.onnx"), names)
    page = (Path(__file__).parents[2] / "docs" / "guide" / "brevitas.md").read_text(encoding="utf-8")
    commands = re.findall(r"^muxflow (.*residual.*)$", page, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["check", "build", "csim", "report"]
    said = {}
    for command in commands:
        native = ("--variant", "native") if command.startswith("csim") else ()
        done = run(*command.split(), *native, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said[command.split()[0]] = done.stdout
    assert "100.00 % on images.npz, 20 of 20 images" in said["csim"]
    assert re.search(r"^block_conv +conv 3x3, 4 groups", said["build"], re.MULTILINE)
    assert "block_Add" in (tmp_path / "build" / "residual" / "report" / "report.txt").read_text()


def test_the_documented_model_of_two_inputs_is_simulated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(documented("two.onnx"), names)
    assert names["graph"].inputs == ("global_in", "global_in_1")
    assert np.array_equal(names["result"].outputs, names["graph"]((names["pixels"], names["levels"])))
    assert names["logits"].std() > 0


class Residual(nn.Module):
    """Two branches with a quantizer each, or one that both share."""

    def __init__(self, shared, join=operator.add):
        super().__init__()
        self.input = qnn.QuantIdentity(return_quant_tensor=True)
        self.branches = nn.ModuleList([nn.Sequential(qnn.QuantConv2d(2, 2, 1, bias=False)) for _ in range(2)])
        self.first = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.second = self.first if shared else qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.join = join

    def forward(self, x):
        x = self.input(x)
        return self.join(self.first(self.branches[0](x)), self.second(self.branches[1](x)))


@pytest.mark.parametrize("join", [operator.add, lambda a, b: torch.cat([a, b], 1)], ids=["add", "cat"])
def test_branches_without_a_shared_quantizer_are_named_before_brevitas_does(tmp_path, join):
    torch.manual_seed(0)
    model = Residual(shared=False, join=join)
    model(images(4, (2, 4, 4)) * 3)
    model.eval()
    with pytest.raises(MuxflowError, match=r"outputs of first and second, whose quantizers differ .*self.shared\(a\)"):
        export(model, tmp_path / "net.onnx", (1, 2, 4, 4))
    assert list(tmp_path.iterdir()) == []
    shared = Residual(shared=True, join=join).eval()
    path = export(shared, tmp_path / "net.onnx", (1, 2, 4, 4))
    x = images(2, (2, 4, 4))
    expected = shared(x)
    np.testing.assert_allclose(execute(path, x.numpy())["global_out"], expected.value.detach().numpy(), atol=1e-6)


def test_nodes_are_named_by_the_models_own_modules(tmp_path):
    """A layer has its module's name; a second call, a weight quantizer and a container's own operations say so."""
    model = Residual(shared=True).eval()
    names = {(node.name, node.op_type) for node in to_qonnx(model, (1, 2, 4, 4)).graph.node}
    assert names == {
        ("input", "Quant"),
        ("branches.0.0", "Conv"),
        ("branches.1.0", "Conv"),
        ("branches.0.0.weight_quant", "Quant"),
        ("branches.1.0.weight_quant", "Quant"),
        ("first", "Quant"),
        ("first_1", "Quant"),
        ("first.Relu", "Relu"),
        ("first.Relu_1", "Relu"),
        ("Add", "Add"),
    }
    plain = nn.Sequential(qnn.QuantIdentity(), nn.Sequential(qnn.QuantConv2d(2, 3, 1)), qnn.QuantReLU()).eval()
    path = export(plain, tmp_path / "plain.onnx", (1, 2, 4, 4))
    assert {"Quant_0", "Conv_1.0", "Quant_2"} <= {node.name for node in onnx.load(str(path)).graph.node}
    assert {node.name for node in muxflow.load(path).nodes} == {"Conv_1_0", "Conv_1_0_weights", "Quant_2"}


@pytest.mark.parametrize("shape", [(1, 6), (1, 2, 8)], ids=["vector", "sequence"])
def test_vectors_and_sequences_export_like_images(tmp_path, shape):
    layer = qnn.QuantLinear(6, 5, bias=False) if len(shape) == 2 else qnn.QuantConv1d(2, 5, 3, bias=False)
    norm = nn.BatchNorm1d(5)
    model = nn.Sequential(qnn.QuantIdentity(), layer, norm, qnn.QuantReLU(bit_width=3)).eval()
    graph = muxflow.load(export(model, tmp_path / "net.onnx", shape))
    agreed = compare(graph, [TorchExecution(model, graph)], random_images(graph, 9).codes)
    assert agreed.outcomes[0].images == 9


class Ends(nn.Module):
    """A map and a vector in, a vector and a map out."""

    def __init__(self):
        super().__init__()
        self.along = qnn.QuantConv1d(2, 3, 1, bias=False)
        self.dense = qnn.QuantLinear(4, 5, bias=False)

    def forward(self, signal, features):
        return self.dense(features), self.along(signal)


def test_execute_takes_several_inputs_of_any_rank_and_gives_every_output(tmp_path):
    model = Ends().eval()
    path = export(model, tmp_path / "ends.onnx", ((1, 2, 6), (1, 4)))
    signal, features = images(3, (2, 6)), images(3, (4,))
    expected = model(signal, features)
    given = (signal.numpy(), features.numpy())
    for batch in [given, list(given), {"global_in_1": given[1], "global_in": given[0]}]:
        found = execute(path, batch)
        assert list(found) == ["global_out", "global_out_1"]
        for values, wanted in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(values, wanted.detach().numpy(), atol=1e-6)
    ints = (given[0], np.ones((3, 4), int))
    for batch, message in [
        (given[0], r"expected one array for each input \(global_in, global_in_1\), as a tuple .* met one ndarray"),
        ((*given, given[0]), "met 3 arrays"),
        ({"signal": given[0]}, "there are arrays for 'signal'"),
        ((given[0], given[1][:2]), r"different numbers of images \(3 of global_in, 2 of global_in_1\)"),
        (given[::-1], r"input global_in: images of shape \(3, 4\); expected \(N, 2, 6\)"),
        (ints, "input global_in_1: images of type int64; expected floats"),
        ((given[0][:0], given[1][:0]), "a batch of no images"),
        ((given[0], 0.5), "input global_in_1: 0.5 is no batch of images"),
        ((given[0], np.ma.masked_array(given[1])), "input global_in_1: a masked array, and no frame is left out"),
    ]:
        with pytest.raises(MuxflowError, match=message):
            execute(path, batch)


def test_execute_takes_a_whole_batch_of_the_file(tmp_path):
    model = nn.Sequential(qnn.QuantLinear(4, 5, bias=False)).eval()
    path = export(model, tmp_path / "two.onnx", (2, 4))
    x = images(4, (4,))
    np.testing.assert_allclose(execute(path, x.numpy())["global_out"], model(x).detach().numpy(), atol=1e-6)
    with pytest.raises(MuxflowError, match=r"3 images; the file takes 2 at a time"):
        execute(path, x.numpy()[:3])


@pytest.mark.filterwarnings("ignore")  # torch announces its own exporter
def test_quantizers_that_torch_took_apart_are_named(tmp_path):
    """They are floats in the file, which nothing can tell from the layers beside them."""
    model = nn.Sequential(qnn.QuantIdentity(bit_width=4), qnn.QuantLinear(4, 5, bias=False), qnn.QuantReLU()).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(model, torch.zeros(1, 4), path, dynamo=False)
    with pytest.raises(
        UnsupportedError, match=r"net\.onnx: .*/Round is a part of a Brevitas quantizer, .*export_qonnx with"
    ):
        check(path)
    export(model, path, (1, 4))
    assert all(status.supported for status in check(path))


def test_bad_exports_are_named(tmp_path):
    model = network()
    for shape in [
        (8,),
        (1, 1, 0, 8),
        (1, 1, 8.0, 8),
        ((1, 1, 8, 8), 3),
        (),
        8,
        [1, 1, 8.0, 8],
        torch.zeros(1, 1, 8, 8),
    ]:
        with pytest.raises(MuxflowError, match=r"^.{1,300}; give \(N, C, H, W\)"):
            export(model, tmp_path / "net.onnx", shape)
    with pytest.raises(
        MuxflowError, match=r"not run on an input of shape \(1, 8, 8, 1\) \(.*; give the shape of the images"
    ):
        export(model, tmp_path / "net.onnx", (1, 8, 8, 1))
    assert not list(tmp_path.iterdir())
    with pytest.raises(MuxflowError, match="no Brevitas layer"):
        to_qonnx(nn.Conv2d(1, 1, 1), (1, 1, 8, 8))
    with pytest.raises(MuxflowError, match="does not exist"):
        export(model, tmp_path / "none" / "net.onnx", (1, 1, 8, 8))
    path = export(model, tmp_path / "net.onnx", (1, 1, 8, 8))
    with pytest.raises(MuxflowError, match=r"images of shape \(1, 3, 8, 8\); expected \(N, 1, 8, 8\)"):
        execute(path, np.zeros((1, 3, 8, 8), np.float32))
