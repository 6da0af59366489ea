"""Readers are found: a toy reader of a format of its own goes all the way, and nothing else knows of it."""

import os
from contextlib import contextmanager
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import muxflow
from muxflow.dataflow import discovery
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.packages import package
from muxflow.frontend import registry
from muxflow.frontend.importer.handling import handlers, handles
from muxflow.frontend.importer.values import Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import Grid, ImportOptions, Model, ModelInput, ModelNode, model_name
from muxflow.frontend.qonnx.reader import RENAMED, read_model
from muxflow.proving import model_copy


@handles("Twice", domains=("toy",))
def twice(importer: Importer, node: ModelNode) -> Value:
    """An operator that only the toy's files have."""
    return importer.tensor(node, 0)


class ToyExecution:
    """Computes the toy's answer by itself."""

    title = name = "the toy"

    def __init__(self, graph):
        self.graph = graph

    def run(self, codes):
        """See `Execution`."""
        return {self.graph.outputs[0]: next(iter(codes.values()))}


class Toy:
    """Text files: the features of an input of bytes, then an op type a line."""

    title = "toy"
    suffixes = (".toy",)
    packages = (package("numpy", "import of toys", "pip install numpy"),)
    executes = True

    def recognises(self, path):
        """See `Frontend`."""
        return path.is_file() and path.read_text()[:1].isdigit()

    def read(self, path, options):
        """See `Frontend`."""
        try:
            features, *kinds = path.read_text().split()
        except (OSError, ValueError) as error:
            raise MuxflowError(f"model {path}: no toy ({error}); write one") from error
        nodes = [
            ModelNode(f"n{i}", kind, (f"t{i}",), (f"t{i + 1}",), domain="toy" if kind == "Twice" else "")
            for i, kind in enumerate(kinds)
        ]
        return Model(
            model_name(path),
            tuple(nodes),
            (ModelInput("t0", (int(features),), Grid.of_bits(8)),),
            (f"t{len(kinds)}",),
            {},
        )

    @contextmanager
    def execution(self, path, graph):
        """See `Frontend`."""
        yield ToyExecution(graph)


TOY = Toy()


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "small.toy"
    path.write_text("6 Identity Twice")
    return path


@pytest.fixture(params=["registered", "entry point"])
def known(request, monkeypatch):
    """The toy made known as another package would."""
    monkeypatch.setattr(registry.FRONTENDS, "_registered", [])
    if request.param == "registered":
        registry.register(TOY)
        yield
        return
    entry = EntryPoint("toy", f"{__name__}:TOY", "muxflow.frontends")
    monkeypatch.setattr(EntryPoint, "load", lambda _self: TOY)
    monkeypatch.setattr(discovery, "entry_points", lambda group: [entry] if group == entry.group else [])
    vars(registry.FRONTENDS).pop("_found", None)
    yield
    vars(registry.FRONTENDS).pop("_found", None)


@pytest.mark.usefixtures("known")
def test_a_toy_goes_all_the_way(toy):
    graph = muxflow.load(toy)
    assert (graph.name, graph.streams[graph.inputs[0]].shape) == ("small", (1, 1, 6))
    assert [(status.op_type, status.supported) for status in muxflow.check(toy)] == [
        ("Identity", True),
        ("Twice", True),
    ]
    toy.write_text("6 Identity Thrice")
    assert [status.supported for status in muxflow.check(toy)] == [True, False]
    assert model_copy(toy) == {"model.toy": b"6 Identity Thrice"}
    assert ".toy" in registry.suffixes()
    from muxflow.doctor import findings

    assert "numpy" in {finding.name for finding in findings()}


@pytest.mark.usefixtures("known")
def test_the_proof_runs_the_copy(toy):
    from muxflow.proof.compare import compare

    graph = muxflow.load(toy)
    with registry.find(toy).execution(toy, graph) as execution:
        codes = np.arange(12).reshape(2, 1, 1, 6)
        assert compare(graph, [execution], codes).outcomes[0].images == 2


def test_without_the_toy_its_suffix_is_unknown(toy):
    with pytest.raises(MuxflowError, match=r"a file of type '\.toy'; supported are .*\.onnx \(FINN-ONNX, QONNX\)"):
        muxflow.load(toy)


@pytest.mark.parametrize("suffix", [".onnx", ".h5", ".npz", ""])
def test_what_never_ends_is_no_model(suffix, tmp_path):
    """A device gave zeros until the memory was full, a pipe nothing for ever."""
    (tmp_path / f"zeros{suffix}").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / f"pipe{suffix}")
    for name in ("zeros", "pipe"):
        with pytest.raises(MuxflowError, match=rf"{name}.*: a device or a pipe, which may never end; expected a model"):
            muxflow.check(tmp_path / f"{name}{suffix}")


def test_two_functions_for_one_operator_are_refused():
    with pytest.raises(ValueError, match="Conv of domain '' is handled by"):
        handles("Conv")(lambda importer, node: None)
    assert ("toy", "Twice") in handlers()


def test_a_graph_file_is_read_as_it_is(build, save, tmp_path):
    from muxflow.dataflow.graph.file import write_graph

    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 256)
    b.conv(np.ones((3, 2, 1, 1)))
    graph = registry.load(save(b), ImportOptions())
    path = tmp_path / "graph.npz"
    write_graph(graph, path)
    assert str(muxflow.load(path)) == str(graph)
    assert all(status.supported for status in muxflow.check(path))
    assert model_copy(path) == {}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_older_names_of_operators_are_read(old, new, build, save):
    b = build((1, 2, 3, 3))
    b.node(old, "x", domain="muxflow")
    assert [node.op_type for node in read_model(save(b)).graph.node] == [new]


def test_the_name_of_a_network_in_place_of_a_file_says_where_names_go(tmp_path):
    with pytest.raises(
        MuxflowError, match=r"billnet: no such file; .*muxflow sweep, shipped networks to muxflow demo$"
    ):
        muxflow.load(tmp_path / "billnet")
    with pytest.raises(MuxflowError, match=r"billnet\.txt: no such file; .*HGQ2\)$"):
        muxflow.load(tmp_path / "billnet.txt")
