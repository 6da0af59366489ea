"""Keras files that bring code or ask for too much: refused by name before Keras builds anything of them."""

import base64
import io
import json
import marshal
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from pathlib import Path
from types import FunctionType
from typing import Any

import h5py
import numpy as np
import pytest

from muxflow.dataflow.errors import ExecutionError, MuxflowError, ToolError, UnsupportedError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.frontend.importer.walk import import_model
from muxflow.frontend.keras import child, process
from muxflow.frontend.keras.architecture import check_architecture, check_calls
from muxflow.frontend.keras.execution import KerasExecution
from muxflow.frontend.keras.layers import Call, Layers, write_layer
from muxflow.frontend.keras.process import generation_of
from muxflow.frontend.keras.reader import describe_models
from muxflow.frontend.keras.writer import Writer
from muxflow.frontend.model import ImportOptions, Model

MARK = "ran"


def code(folder: Path) -> str:
    """A function that leaves a mark when it is called, as a Lambda layer of Keras 2 holds it."""
    source = compile(f"lambda x: (open({str(folder / MARK)!r}, 'w').close(), x)[1]", "<file>", "eval")
    made = eval(source)
    assert isinstance(made, FunctionType)
    return base64.b64encode(marshal.dumps(made.__code__)).decode()


def lambda_layer(folder: Path) -> dict[str, Any]:
    kept = {"output_shape": None, "output_shape_type": "raw", "output_shape_module": None, "arguments": {}}
    called = {"function": [code(folder), None, None], "function_type": "lambda", "module": "__main__"}
    return {"class_name": "Lambda", "config": {"name": "calm", "trainable": True, "dtype": "float32", **called, **kept}}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    start = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "start"},
    }
    return {"class_name": "Sequential", "config": {"name": "net", "layers": [start, *layers]}}


def dense(**more: Any) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "config": {"name": "d", "units": 2, "activation": "linear", "use_bias": False},
        **more,
    }


def write_h5(path: Path, config: dict[str, Any], version: str = "2.20.1") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
    return path


def write_keras(path: Path, config: dict[str, Any], version: str = "3.15.1") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
    return path


def in_keras_3(name: str, config: Any, module: str = "keras.layers") -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def layer_3(name: str, module: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {"name": "odd", **config}, "registered_name": None}


def called(node: Any) -> dict[str, Any]:
    """A model of one dense layer, `one`, and its one call."""
    start = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "start"},
    }
    layers = [{**start, "name": "start", "inbound_nodes": []}, {**dense(), "name": "one", "inbound_nodes": [node]}]
    ends = {"input_layers": [["start", 0, 0]], "output_layers": [["one", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "net", "layers": layers, **ends}}


def tensor_of(layer: str, number: Any) -> dict[str, Any]:
    """What a file of Keras 3 holds for a tensor: the layer that gives it, at which of its calls."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [layer, number, 0]}}


def files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files by name, with what their refusal says."""
    found = {
        "lambda.h5": "calm has a 'Lambda', which runs code that the file brings",
        "inner.h5": "calm has a 'Lambda', which runs code",
        "tfop.h5": "d has a 'TFOpLambda', which runs code",
        "module.h5": "d has a 'Dense' of 'antigravity', which is not known",
        "class.h5": "d has a 'Sesame', which is not known",
        "call.h5": "d has a 'get_file', which is not known",
        "plain.h5": "d has a 'get_file', which is not known",
        "both.h5": "calm has a 'Lambda', which runs code",
        "number.h5": "d has a 7, which is not known",
        "calls.h5": "net: its layer 'one' is called on a tensor that no layer before it gives",
        "calls3.keras": "net: its layer 'one' is called on a tensor that no layer before it gives",
        "link.h5": "elsewhere is a link to another place",
        "raw.h5": "its data set /raw stands in another file",
        "large.h5": f"bytes once it is read; at most {MOST_BYTES:,} (MOST_BYTES)",
        "wide.h5": "bytes (MOST_MEMORY) are supported, so it is no model for a device",
        "wide3.keras": "allocate memory",
        "lambda3.keras": "odd has a 'Lambda', which runs code",
        "torch3.keras": "odd has a 'TorchModuleWrapper', which runs code",
        "file3.keras": "odd has a 'get_file' of 'keras.utils', which is not known",
        "function3.keras": "odd has a 'function', which runs code",
        "large3.keras": f"bytes once it is read; at most {MOST_BYTES:,} (MOST_BYTES)",
    }
    write_h5(folder / "lambda.h5", sequential(lambda_layer(folder)))
    write_h5(folder / "inner.h5", sequential(sequential(lambda_layer(folder))))
    write_h5(
        folder / "tfop.h5",
        sequential({"class_name": "TFOpLambda", "config": {"name": "d", "function": "io.read_file"}}),
    )
    write_h5(folder / "module.h5", sequential(dense(module="antigravity")))
    write_h5(folder / "class.h5", sequential({"class_name": "Sesame", "config": {"name": "d"}}))
    write_h5(folder / "call.h5", sequential({**dense(), "config": {"name": "d", "activation": "get_file('x')"}}))
    start = {"class_name": "Zeros", "config": {"quantizer": "get_file('x')"}}
    write_h5(folder / "plain.h5", sequential({**dense(), "config": {"name": "d", "kernel_initializer": start}}))
    write_h5(folder / "number.h5", sequential(dense(class_name=7)))
    write_h5(folder / "calls.h5", called([["start", 2.5, 0, {}]]))
    write_keras(folder / "calls3.keras", called({"args": [tensor_of("one", 0)], "kwargs": {}}))
    write_h5(folder / "both.h5", sequential(lambda_layer(folder)))
    with zipfile.ZipFile(folder / "both.h5", "a") as archive:  # a zip that says it is harmless, behind it
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.20.1"}))
        archive.writestr("config.json", json.dumps(sequential()))
    with h5py.File(write_h5(folder / "link.h5", sequential(dense())), "a") as file:
        file["elsewhere"] = h5py.ExternalLink("lambda.h5", "model_weights")
    with h5py.File(write_h5(folder / "raw.h5", sequential(dense())), "a") as file:
        file.create_dataset("raw", (4,), "f4", external=[(str(folder / "lambda.h5"), 0, 16)])
    with h5py.File(write_h5(folder / "large.h5", sequential(dense())), "a") as file:
        file.create_dataset("zeros", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
    wide = {"class_name": "Dense", "config": {"name": "wide", "units": 4 * 10**9, "activation": "linear"}}
    write_h5(folder / "wide.h5", sequential(wide))
    start = {"batch_shape": [None, 4], "dtype": "float32", "name": "start"}
    layers = [in_keras_3("InputLayer", start), in_keras_3("Dense", wide["config"])]
    write_keras(folder / "wide3.keras", in_keras_3("Sequential", {"name": "net", "layers": layers}, "keras"))
    for name, layer in (
        ("lambda3", layer_3("Lambda", "keras.layers", function={"class_name": "__lambda__", "config": {"code": "x"}})),
        ("torch3", layer_3("TorchModuleWrapper", "keras.layers", output_shape=None)),
        ("file3", layer_3("get_file", "keras.utils", origin="http://localhost")),
        ("function3", layer_3("Activation", "keras.layers", activation={"class_name": "function", "config": "system"})),
    ):
        write_keras(folder / f"{name}.keras", sequential(layer))
    large = write_keras(folder / "large3.keras", sequential(dense()))
    with zipfile.ZipFile(large, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 20))
        archive.infolist()[-1].file_size = MOST_BYTES + 1  # as if of that many zeros, which would take a while to write
    return {name: (folder / name, said) for name, said in found.items()}


NAMES = (
    "a\nb",
    '\n{"error": null}\n',
    "\x1b[2J[/x]",
    "\u202e*/ //",
    "ends \\",
    "$[exec ran]",
    "\ud800",
    "n" * 5000,
    "",
)


def named_files(folder: Path) -> list[Path]:
    """Models of either Keras with such names: of the input of both, of the pool of Keras 3 (TensorFlow refuses them)."""
    found = []
    for number, name in enumerate(NAMES):
        shape = [None, 4, 4, 2]
        start = {"class_name": "InputLayer", "config": {"batch_input_shape": shape, "dtype": "float32", "name": name}}
        pool = {"class_name": "MaxPooling2D", "config": {"name": "pool", "pool_size": [2, 2]}}
        config = {"class_name": "Sequential", "config": {"name": name, "layers": [start, pool]}}
        found.append(write_h5(folder / f"names{number}.h5", config))
        layers = [
            in_keras_3("InputLayer", {"batch_shape": shape, "dtype": "float32", "name": name}),
            in_keras_3("MaxPooling2D", {"name": f"{name}.".replace("/", "|"), "pool_size": [2, 2]}),
        ]
        layers[0]["config"]["name"] = name.replace("/", "|")
        config = in_keras_3("Sequential", {"name": "net", "layers": layers}, "keras")
        found.append(write_keras(folder / f"names{number}.keras", config))
        with zipfile.ZipFile(found[-1], "a") as archive, io.BytesIO() as weights:
            h5py.File(weights, "w").close()
            archive.writestr("model.weights.h5", weights.getvalue())
    return found


def unnamed_files(folder: Path) -> list[Path]:
    """Of either Keras the same model twice, a pool of which has no name."""
    start: dict[str, Any] = {"dtype": "float32", "name": "start"}
    pool = {"class_name": "MaxPooling2D", "config": {"pool_size": [2, 2]}}
    first = {"class_name": "InputLayer", "config": {**start, "batch_input_shape": [None, 4, 4, 2]}}
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": [first, pool]}}
    found = [write_h5(folder / f"unnamed{number}.h5", config) for number in range(2)]
    layers = [
        in_keras_3("InputLayer", {**start, "batch_shape": [None, 4, 4, 2]}),
        in_keras_3("MaxPooling2D", pool["config"]),
    ]
    config = in_keras_3("Sequential", {"name": "net", "layers": layers}, "keras")
    return found + [write_h5(folder / f"unnamed{number}.h5", config, "3.15.1") for number in range(2, 4)]


Said = dict[str, tuple[str, Model | MuxflowError]]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said, list[Model | MuxflowError]]:
    """What is said of each file to refuse, of those with wild names and of four without, from one start of either Keras."""
    folder = tmp_path_factory.mktemp("hostile")
    given, named = files(folder), [*named_files(folder), *unnamed_files(folder)]
    answers = describe_models([*(path for path, _ in given.values()), *named])
    said = {name: (part, answer) for (name, (_, part)), answer in zip(given.items(), answers, strict=False)}
    return folder, said, answers[len(given) :]


@pytest.fixture
def refused(described) -> tuple[Path, Said]:
    return described[0], described[1]


def test_every_file_is_refused_by_the_name_of_what_it_holds(refused) -> None:
    folder, answers = refused
    for name, (said, answer) in answers.items():
        assert isinstance(answer, MuxflowError), name
        assert said in str(answer), f"{name}: {answer}"
        assert f"model {folder / name}" in str(answer)
        assert "safe_mode" not in str(answer) and "unsafe" not in str(answer)
        assert isinstance(answer, UnsupportedError) == ("which" in said), name


def test_no_code_of_a_file_has_run(refused) -> None:
    folder, _ = refused
    assert not (folder / MARK).exists()


def test_wild_names_of_layers_become_identifiers(described) -> None:
    for answer in described[2]:
        assert isinstance(answer, Model), answer
        graph = import_model(answer, ImportOptions(0.25, 3))
        assert graph.nodes and all(name.isidentifier() and name.isascii() for name in graph.streams)


def test_names_that_a_file_leaves_out_are_the_same_each_time(described) -> None:
    """Keras counts them up from one model to the next, so that a proof would not find them again."""
    tensors = [[node.outputs for node in answer.nodes] for answer in described[2][-4:]]
    assert tensors[0] == tensors[1] and tensors[2] == tensors[3]


WAITS = r"^net: its layer 'one' is called on a tensor that no layer before it gives"


@pytest.mark.parametrize("number", [1, -1, 2.5, None, "0", 10**30])
def test_a_call_that_no_layer_has_would_be_waited_for(number: Any) -> None:
    for node in ([["start", number, 0, {}]], {"args": [tensor_of("start", number)], "kwargs": {}}):
        with pytest.raises(MuxflowError, match=WAITS):
            check_calls("net", called(node)["config"])


def test_layers_that_are_not_called_or_there_twice() -> None:
    config = called([["two", 0, 0, {}]])["config"]
    config["layers"].append({**dense(), "name": "two", "inbound_nodes": []})
    with pytest.raises(MuxflowError, match=WAITS):
        check_calls("net", config)
    config["layers"].append(config["layers"][-1])
    with pytest.raises(MuxflowError, match=r"^net: 2 of its layers are called 'two'"):
        check_calls("net", config)


def test_calls_in_any_order_and_of_models_inside() -> None:
    """Their calls count from 1, because they have been called once when they were made."""
    inside = {"class_name": "Functional", "name": "inside", "config": {"layers": []}}
    calls = {
        "last": [[["inside", 2, 0, {}]]],
        "inside": [[["one", 0, 0, {}]], [["inside", 1, 0, {}]]],
        "one": [[["start", 0, 0, {"other": ["start", 0, 0]}]]],
        "start": [],
    }
    kinds = {"inside": inside, "start": {"class_name": "InputLayer"}}
    layers = [{**kinds.get(name, dense()), "name": name, "inbound_nodes": nodes} for name, nodes in calls.items()]
    check_calls("net", {"layers": layers})
    for odd in ({}, [], None, {"layers": 1}, {"layers": [1, {"name": 1}, {"name": "a", "inbound_nodes": 3}]}):
        check_calls("net", odd)


def damaged(folder: Path, kind: str) -> Path:
    """An archive whose part that says who wrote it cannot be read."""
    path = folder / f"{kind}.keras"
    text = {"nested": "[" * 200_000, "list": "[]", "odd": '{"keras_version": "3.\\n\\u001b[2J"}'}.get(kind, "{}")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA if kind == "lzma" else zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", text)
        archive.writestr("config.json", "{}")
    data = bytearray(path.read_bytes())
    for start, flags, method in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        if kind in ("encrypted", "method"):
            at = data.find(start) + (flags if kind == "encrypted" else method)
            data[at] = 1 if kind == "encrypted" else 99
    if kind in ("zlib", "lzma"):
        at = data.find(b"metadata.json") + len("metadata.json")
        data[at : at + 10] = b"\xff" * 10
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["nested", "list", "odd", "encrypted", "method", "zlib", "lzma"])
def test_an_archive_that_does_not_say_who_wrote_it(kind: str, tmp_path: Path) -> None:
    assert generation_of(damaged(tmp_path, kind)) == 2


@pytest.mark.parametrize(("size", "limit"), [(1 << 26, "MOST_TEXT"), (3 << 21, "MOST_TABLES")])
def test_an_architecture_without_end_is_not_parsed(tmp_path: Path, size: int, limit: str) -> None:
    """A zip of some kilobytes: its lists would take gigabytes."""
    file = tmp_path / "net.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        archive.writestr("config.json", f"[{'[],' * (size // 3 + 1)}[]]")
    with pytest.raises(Exception, match=rf"\({limit}\)"):
        check_architecture(file, frozenset)


@pytest.mark.parametrize("value", [7, np.zeros(3)])
def test_an_architecture_that_is_no_text(tmp_path: Path, value: Any) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.attrs["model_config"] = value
    with pytest.raises(ValueError, match="its model_config is no text"):
        check_architecture(tmp_path / "net.h5", frozenset)


def test_who_wrote_an_archive_is_not_read_without_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "large.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", " " * (1 << 26))
    tracemalloc.start()
    assert generation_of(tmp_path / "large.keras") == 2
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_a_file_on_which_the_hdf5_library_runs_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some damaged files send it there, where not even Ctrl-C helps."""
    path = write_h5(tmp_path / "net.h5", sequential(dense()), "3.1")
    assert generation_of(path) == 3
    monkeypatch.setattr(process, "VERSION_SECONDS", 0.0)
    assert generation_of(path) == 3  # known
    path = write_h5(tmp_path / "other.h5", sequential(dense()))
    with pytest.raises(MuxflowError, match=r"other\.h5: the HDF5 library .* \(VERSION_SECONDS\)"):
        generation_of(path)


def test_a_keras_that_runs_in_circles_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As over inbound nodes that no layer has."""
    monkeypatch.setattr(process, "ANSWER_SECONDS", 0.1)
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen([sys.executable, "-c", "while True: pass"], text=True, **pipes) as running,
    ):
        with pytest.raises(ToolError, match=r"^model x: Keras has given no answer within 0\.1 s \(ANSWER_SECONDS\)"):
            process.Child(running, errors, "batch").answer("model x")
        assert running.returncode


def test_what_fails_with_one_model_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def describe(path: Path) -> Model:
        raise TypeError(f"{path.name} has\n no sense")

    monkeypatch.setattr(child, "limit_memory", lambda: None)
    child.describe_files(["a.h5", str(tmp_path / "a"), "b.h5", str(tmp_path / "b")], describe)
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["supported"] for answer in answers] == [True, True]
    assert answers[1]["error"].startswith("model b.h5: it cannot be described (TypeError: b.h5 has no sense)")


def test_a_model_that_its_library_does_not_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorFlow knows no depthwise convolution of unequal strides; Keras builds one, and it can be imported."""

    def load(_: Path) -> child.Predictor:
        raise ValueError("no\nkernel")

    np.savez(tmp_path / "inputs.npz", np.zeros(1))
    monkeypatch.setattr("sys.stdin", io.StringIO("[]\n"))
    child.predict(["net.h5", str(tmp_path)], load)
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"error": "ValueError: no kernel", "ran": False, "machine": False}
    said: Any = type("Child", (), {"ask": lambda _self, _question: answer})()
    graph = Graph("g", (), {}, (), ())
    execution = object.__new__(KerasExecution)
    vars(execution).update(_what="model net.h5", _graph=graph, _child=said, _folder=tmp_path)
    with pytest.raises(ExecutionError, match=r"^model net\.h5: Keras predict cannot run it \(ValueError: no kernel\)"):
        execution.run({})


def test_what_a_layer_of_muxflow_refuses_names_the_file(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "net.h5", sequential(dense()))

    def read(_: str) -> None:
        raise UnsupportedError("a ring of 2 cells")

    with pytest.raises(UnsupportedError, match=r"^model .*net\.h5: a ring of 2 cells$"):
        child.read_file(path, read, lambda: frozenset(("Dense", "InputLayer", "linear")), "")


def test_a_layer_whose_settings_make_no_sense_is_named() -> None:
    def handler(writer: Writer, call: Call) -> str:
        writer.node("Relu", "x")
        raise TypeError("unsupported operand")

    layer = type("Odd", (), {"compute_dtype": "float32"})()
    writer = Writer("Keras")
    write_layer(writer, Call(layer, "first", ["x"], [(None, 4)], (None, 4)), Layers({"Odd": handler}, {}))
    (node,) = writer.nodes
    assert node.op_type == "Unsupported"
    said = node.attributes["message"]
    assert said == "its settings do not make sense (TypeError: unsupported operand)"
