"""A fault of the machine, as one without memory, is never a statement about a model or a file."""

import ast
import errno
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muxflow.dataflow.errors import MachineFault, MuxflowError, ToolError, UnsupportedError, may_pass
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.outputs import OutputFolder
from muxflow.frontend.faults import is_of_memory, machine_fault, no_memory
from muxflow.frontend.importer.walk import Importer, check_model, import_model
from muxflow.frontend.keras import child, process, reader
from muxflow.frontend.keras.execution import KerasExecution
from muxflow.frontend.keras.layers import Call, Layers, write_layer
from muxflow.frontend.keras.writer import TENSORFLOW, Writer
from muxflow.frontend.qonnx.execution import QonnxModel
from muxflow.frontend.qonnx.reader import read_model, read_onnx
from muxflow.frontend.training.datasets import mnist
from muxflow.frontend.training.datasets.dataset import text_lines
from muxflow.frontend.training.datasets.pickled import read_pickle
from muxflow.frontend.training.datasets.pictures import open_picture
from muxflow.frontend.training.frame_decoder import load_decoder
from muxflow.frontend.training.result import check_run
from muxflow.frontend.training.stages import read_checkpoint
from muxflow.frontend.training.trained import load_trained

ROOT = Path(__file__).parents[2]
REFUSED = OSError(errno.EACCES, "Permission denied")
NO_DISK = OSError(errno.EIO, "Input/output error")


def raising(error: BaseException) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    return refuse


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"),
        ValueError("{{function_node}} OOM when allocating tensor with shape[1,2]"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        caused(ValueError("no"), MemoryError()),
    ],
    ids=str,
)
def test_a_shortage_of_memory_in_the_words_of_any_library(error: Exception) -> None:
    found = machine_fault(error, "relu (Relu)")
    assert isinstance(found, MachineFault) and is_of_memory(error) and may_pass(found) and found.exit_code == 1
    assert str(found).startswith("relu (Relu): not enough memory (") and str(found).endswith("(ulimit -v)")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EIO, "its disk works"), (errno.EACCES, "make it readable"), (errno.EMFILE, "ulimit -n")],
)
def test_what_the_system_refuses(number: int, remedy: str) -> None:
    found = machine_fault(OSError(number, os.strerror(number)), "model net.onnx")
    assert found is not None and found.passing and remedy in str(found)
    assert str(found).startswith(f"model net.onnx: cannot be read ({os.strerror(number)}); ")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no sense"),
        OSError("cannot identify image file"),
        OSError(errno.EINVAL, "Invalid argument"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        UnsupportedError("relu (Relu): not supported"),
        KeyError("memory"),
    ],
    ids=str,
)
def test_what_is_of_a_model_or_a_file_stays_so(error: Exception) -> None:
    assert machine_fault(error, "x") is None


def test_an_error_of_muxflow_that_may_pass_stays_as_it_is() -> None:
    error = ToolError("a package is absent")
    assert machine_fault(error, "x") is error


def test_the_line_that_says_so() -> None:
    assert no_memory("Traceback\n  x\nMemoryError\nat exit\n") == "MemoryError"
    assert not no_memory("ValueError: no\n")


def calls(node: ast.AST) -> set[str]:
    return {one.func.id for one in ast.walk(node) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}


def test_whatever_takes_any_error_asks_whether_the_machine_is_at_fault() -> None:
    """Beside what an example or a helper of its own does so."""
    asking = {"machine_fault", "raise_machine_fault", "_refusal"}
    for path in [*(ROOT / "frontend").rglob("*.py"), *(ROOT / "muxflow" / "compression").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name):
                taken = node.type.id in ("Exception", "BaseException")
                assert not taken or calls(node) & asking, f"{path}:{node.lineno}"


@pytest.fixture
def file(build: Any, save: Callable[..., Path]) -> Path:
    made = build((1, 2, 4, 4))
    made.quant("x", 0.25, bits=4.0)
    made.then("MaxPool", kernel_shape=[2, 2])
    return save(made)


def test_a_node_of_the_import(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Importer, "_visited", raising(MemoryError("Unable to allocate 1 GiB")))
    for run in (check_model, import_model):
        with pytest.raises(MachineFault, match=r"^\w+ \(Quant\): not enough memory \(MemoryError: Unable to allocate"):
            run(read_onnx(file))


def test_a_node_of_the_execution(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QonnxModel, "_execute", raising(RuntimeError("std::bad_alloc")))
    with pytest.raises(MachineFault, match=r"^\w+ \(Quant\): not enough memory \(RuntimeError: std::bad_alloc\)"):
        QonnxModel(file).run(np.zeros((1, 2, 4, 4), np.float32))


def test_a_layer_of_keras() -> None:
    layer: Any = type("Dense", (), {"compute_dtype": "float32"})()
    layers = Layers({"Dense": raising(MemoryError())}, {})
    with pytest.raises(MachineFault, match=r"^head \(Dense\): not enough memory \(MemoryError\); free memory"):
        write_layer(Writer(TENSORFLOW), Call(layer, "head", ["x"], [(None, 2)], (None, 2)), layers)


def test_what_the_readers_of_keras_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "check_architecture", lambda *_: None)
    for error, said in ((MemoryError(), "not enough memory"), (NO_DISK, "cannot be read (Input/output error)")):
        with pytest.raises(MachineFault) as met:
            child.read_file(tmp_path / "net.h5", raising(error), frozenset, "save it again")
        assert str(met.value).startswith(f"model {tmp_path / 'net.h5'}: {said}")


@pytest.mark.parametrize("limited", [True, False])
def test_the_answer_about_a_model(
    limited: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Muxflow itself limits the memory, the model asks for too much."""
    monkeypatch.setattr(child, "limit_memory", lambda: limited)
    for error in (MemoryError(), MachineFault("pixels (QActivation): not enough memory (MemoryError); free memory")):
        error.__cause__ = None if isinstance(error, MemoryError) else MemoryError()
        child.describe_files(["net.h5", str(tmp_path / "out")], raising(error))
        answer = json.loads(capsys.readouterr().out)
        path = tmp_path / "net.h5"
        found = reader._described(path, path, path, answer)
        assert isinstance(found, MachineFault) is not limited and not isinstance(found, UnsupportedError)
        assert ("(MOST_MEMORY)" in str(found)) is limited and str(found).startswith("model net.h5: ")
    child.describe_files(["net.h5", str(tmp_path / "out")], raising(NO_DISK))
    assert json.loads(capsys.readouterr().out)["machine"]


def test_a_limit_of_the_users_stays() -> None:
    """And is not taken for Muxflow's own."""
    code = (
        "import resource; from muxflow.frontend.keras import child\n"
        "most = 3 << 30; resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))\n"
        "print(child.limit_memory(), resource.getrlimit(resource.RLIMIT_AS)[0] == most)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_a_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "inputs.npz", np.zeros(1))
    for error in (MemoryError(), MachineFault("head (Dense): not enough memory (MemoryError)")):
        monkeypatch.setattr("sys.stdin", io.StringIO("[]\n"))
        child.predict(["net.h5", str(tmp_path)], raising(error))
        answer = json.loads(capsys.readouterr().out)
        said: Any = type("Child", (), {"ask": lambda _self, _question, found=answer: found})()
        with pytest.raises(MachineFault, match="not enough memory"):
            KerasExecution(tmp_path, Graph("g", (), {}, (), ()), said, tmp_path).run({})


@pytest.mark.parametrize(
    "said", ["MemoryError", "ImportError: libtorch_cpu.so: failed to map segment from shared object"]
)
def test_a_child_that_dies_for_want_of_memory(said: str) -> None:
    program = f"import sys; sys.stderr.write({said + chr(10)!r}); sys.exit(1)"
    with tempfile.TemporaryFile("w+") as errors:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with (
            subprocess.Popen([sys.executable, "-c", program], text=True, **pipes) as running,
            pytest.raises(MachineFault) as met,
        ):
            process.Child(running, errors, "batch").answer("model x")
    assert str(met.value).startswith(
        f"model x: not enough memory for the process that runs Keras ({said}); free memory"
    )


def test_a_version_that_cannot_be_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(process.HDF5)
    died = subprocess.CompletedProcess([], 1, "", "ImportError: libhdf5.so: failed to map segment from shared object")
    monkeypatch.setattr(process, "completed", lambda *_, **__: died)
    with pytest.raises(MachineFault, match=r"net\.h5: not enough memory to look into it"):
        process.generation_of(path)


def test_a_report_that_the_machine_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished training is not said to be another one, which --force replaces."""
    (tmp_path / "net.onnx").write_bytes(b"")
    place = OutputFolder(tmp_path)
    with pytest.raises(MuxflowError, match=r"cannot be told.*--force"):
        check_run(place, "net.json", "net.onnx", "muxflow train")
    monkeypatch.setattr("muxflow.frontend.training.result.read_json", raising(REFUSED))
    with pytest.raises(MachineFault, match=r"net\.json: cannot be read \(Permission denied\); make it readable"):
        check_run(place, "net.json", "net.onnx", "muxflow train")


TRAINING = "muxflow.frontend.training"
READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "net.onnx": (read_model, "pathlib.Path.read_bytes"),
    "net.pt": (lambda path: load_trained(path.with_suffix("")), f"{TRAINING}.trained.read_json"),
    "net.decoder": (load_decoder, f"{TRAINING}.frame_decoder.read_state"),
    "batch.pkl": (read_pickle, "pathlib.Path.read_bytes"),
    "image.png": (lambda path: open_picture(path, ("PNG",)), "PIL.Image.open"),
    "checkpoint.pt": (lambda path: read_checkpoint(path, "recipe"), f"{TRAINING}.stages.read_state"),
    "images.idx": (lambda path: mnist._idx(path, 3), "pathlib.Path.open"),
    "names.txt": (text_lines, f"{TRAINING}.datasets.dataset.read_bounded"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (REFUSED, "cannot be read (Permission denied); make it readable, then start again"),
        (NO_DISK, "cannot be read (Input/output error); see whether its disk works, then start again"),
        (MemoryError(), "not enough memory (MemoryError); free memory, or raise the limit (ulimit -v)"),
    ],
    ids=["permission", "disk", "memory"],
)
def test_a_file_that_the_machine_does_not_give(
    name: str, error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told to delete or to fetch again what may be sound."""
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "net.json").write_text("{}")
    monkeypatch.setattr(f"{TRAINING}.datasets.pictures.kind_of", lambda _: "a PNG image")
    read, place = READERS[name]
    with monkeypatch.context() as patch:
        patch.setattr(place, raising(error))
        with pytest.raises((MachineFault, MemoryError)) as met:
            read(path)
    if isinstance(met.value, MachineFault):  # else the command line says it
        assert name in str(met.value) and str(met.value).endswith(said)


def test_it_goes_from_one_process_to_another() -> None:
    found = pickle.loads(pickle.dumps(MachineFault("no memory")))
    assert isinstance(found, MachineFault) and may_pass(found)
