"""Keras files that bring code or ask for too much: refused by name before Keras builds anything of them."""

import base64
import json
import marshal
import zipfile
from pathlib import Path
from types import FunctionType
from typing import Any

import h5py
import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.frontend.keras.reader import describe_models
from muxflow.frontend.model import Model

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


def files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files by name, with what their refusal says."""
    found = {
        "lambda.h5": "calm has a 'Lambda', which runs code that the file brings",
        "inner.h5": "calm has a 'Lambda', which runs code",
        "tfop.h5": "d has a 'TFOpLambda', which runs code",
        "module.h5": "d has a 'Dense' of 'antigravity', which is not known",
        "class.h5": "d has a 'Sesame', which is not known",
        "call.h5": "d has a 'get_file', which is not known",
        "both.h5": "calm has a 'Lambda', which runs code",
        "link.h5": "elsewhere is a link to another place",
        "raw.h5": "its data set /raw stands in another file",
        "large.h5": f"bytes once it is read; at most {MOST_BYTES:,} (MOST_BYTES)",
        "wide.h5": "wide.h5: Keras cannot read it (ResourceExhaustedError",
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


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, Model | MuxflowError]]]:
    """What is said of each file, from one start of either Keras."""
    folder = tmp_path_factory.mktemp("hostile")
    given = files(folder)
    answers = describe_models([path for path, _ in given.values()])
    return folder, {name: (said, answer) for (name, (_, said)), answer in zip(given.items(), answers, strict=True)}


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
