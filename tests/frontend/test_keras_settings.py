"""What a user has set of Keras or of Python changes nothing of what a model file means."""

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import muxflow
from muxflow.frontend.keras import process
from muxflow.frontend.training.result import PRETRAINED

MODEL = PRETRAINED / "residual_digits_qkeras.h5"
SETTINGS = {"floatx": "float64", "image_data_format": "channels_first", "backend": "jax", "epsilon": 1.0}
VARIABLES = {"PYTHONIOENCODING": "utf-16", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "KERAS_BACKEND": "jax"}


def loaded(path: Path) -> bytes:
    muxflow.save(muxflow.load(MODEL), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return loaded(tmp_path_factory.mktemp("plain") / "graph.npz")


@pytest.mark.parametrize("settings", [SETTINGS, {"floatx": "float16"}, [1]], ids=["other", "half", "bogus"])
def test_a_model_means_the_same(settings: Any, plain: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    for name, value in {"HOME": str(tmp_path), **VARIABLES}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert loaded(tmp_path / "graph.npz") == plain


@pytest.mark.parametrize("generation", [2, 3])
def test_what_the_child_gets(generation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own for the settings, which goes with it, and none of the variables of Keras."""
    met: dict[str, str] = {}

    @contextmanager
    def running(*_: Any, env: dict[str, str], **__: Any) -> Any:
        met.update(env)
        assert Path(env["TMPDIR"]) in Path(env["KERAS_HOME"]).parents
        yield None

    monkeypatch.setattr(process, "running", running)
    monkeypatch.setattr(process, "keras_v3_environment", lambda: {"KERAS_BACKEND": "torch"})
    monkeypatch.setattr(process, "require_packages", lambda: None)
    for name in ("KERAS_HOME", "KERAS_BACKEND", "KERAS_MAX_EPOCHS", "KERAS_TORCH_DEVICE"):
        monkeypatch.setenv(name, str(tmp_path))
    with process.keras_child("none", [], "model", generation):
        pass
    assert met.get("KERAS_BACKEND") == {2: None, 3: "torch"}[generation] and met["PATH"] == os.environ["PATH"]
    assert not {"KERAS_MAX_EPOCHS", "KERAS_TORCH_DEVICE"} & met.keys()
    assert not Path(met["KERAS_HOME"]).exists() and met["KERAS_HOME"] != str(tmp_path)
