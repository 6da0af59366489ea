"""The child processes that hold Keras: what they need, how they are started, how they answer."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from muxflow.dataflow.errors import ToolError, UnsupportedError
from muxflow.dataflow.packages import install_extra
from muxflow.frontend.keras.v3.hgq_folder import keras_v3_environment

Generation = Literal[2, 3]

SUFFIXES = (".h5", ".hdf5", ".keras")
"""Files that Keras writes; both of its generations write all of them."""
HDF5 = b"\x89HDF\r\n\x1a\n"
"""How HDF5 files begin."""
MODULES = ("tensorflow", "tf_keras", "qkeras", "pyparsing")
INSTALL = install_extra("qkeras")
ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""Of the child only: Keras 2 as TensorFlow's Keras, no chatter, the kernels that compute alike everywhere, no GPU."""
LINES = 8


def require_packages() -> None:
    """Raise ToolError, with the command that helps, when a package is absent or QKeras has been overwritten."""
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolError(f"Keras models need {', '.join(missing)}, which are not installed; install them: {INSTALL}")
    qkeras = importlib.util.find_spec("qkeras")
    folders = (qkeras.submodule_search_locations if qkeras else None) or ()
    if any((Path(folder) / "quantizers" / "__init__.py").exists() for folder in folders):
        raise ToolError(
            "QKeras has been overwritten: HGQ2 brings a package of its own under the name qkeras, so the two cannot "
            "share one environment; pip uninstall HGQ2, then pip install --force-reinstall --no-deps QKeras==0.9.0"
        )


def keras_version(path: Path) -> str:
    """Read the version of Keras that wrote a model file; "" when the file does not say, or is none."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        import h5py

        with h5py.File(path) as file:
            version = file.attrs.get("keras_version", "")
            return version.decode() if isinstance(version, bytes) else str(version)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return ""


def generation_of(path: Path) -> Generation:
    """Tell which Keras reads a file: the one that wrote it, 2 where it does not say.

    Raises UnsupportedError for a file of another generation.
    """
    version = keras_version(path)
    if version.startswith("3."):
        return 3
    if not version or version.startswith("2."):
        return 2
    raise UnsupportedError(
        f"model {path}: written by Keras {version}; supported are models of Keras 2 with QKeras and of Keras 3 with HGQ2, "
        "so save it again with one of those"
    )


def is_of_generation(path: Path, generation: Generation) -> bool:
    """Tell whether a Keras of this generation reads a file; False for a file of another Keras, and for no model of Keras."""
    try:
        return bool(ending_of(path)) and generation_of(path) == generation
    except UnsupportedError:
        return False


def ending_of(path: Path) -> str:
    """Tell by what a file holds which ending Keras expects; "" where it is no model of Keras."""
    try:
        with path.open("rb") as file:
            if file.read(len(HDF5)) == HDF5:
                return ".h5"
        with zipfile.ZipFile(path) as archive:
            return ".keras" if {"config.json", "metadata.json"} <= set(archive.namelist()) else ""
    except (OSError, zipfile.BadZipFile):
        return ""


def well_named(path: Path, folder: Path) -> Path:
    """Give a file that Keras, which goes by the ending, can open: the file itself, or its copy in a folder."""
    if path.suffix in SUFFIXES:
        return path
    return Path(shutil.copyfile(path, folder / f"{path.stem}{ending_of(path)}"))


class Child:
    """A running child: questions go in as lines, answers come out as one JSON object a line."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str], what: str) -> None:
        self._process, self._errors, self._what = process, errors, what

    def ask(self, question: str) -> dict[str, Any]:
        """Return the answer to one question; raises ToolError as `answer` does."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; what it said last is in the error below
        return self.answer(self._what)

    def answer(self, what: str) -> dict[str, Any]:
        """Return the next answer; raises ToolError naming `what`, with the child's last lines, when none comes."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        status = self._process.wait()
        self._errors.seek(0)
        last = "\n".join(self._errors.read().splitlines()[-LINES:])
        raise ToolError(f"{what}: the process that runs Keras ended with status {status}:\n{last}")


@contextmanager
def keras_child(module: str, arguments: Sequence[str], what: str, generation: Generation = 2) -> Iterator[Child]:
    """Run `python -m muxflow.frontend.<module>` with one generation of Keras.

    It ends at the latest with the block. `what` names the model or network in errors. Raises ToolError when what the
    generation needs is not installed: the extra `qkeras`, or HGQ2 in its folder.
    """
    if generation == 2:
        require_packages()
        environment = ENVIRONMENT
    else:
        environment = keras_v3_environment()
    command = [sys.executable, "-P", "-m", f"muxflow.frontend.{module}", *arguments]  # -P: nothing from this folder
    with tempfile.TemporaryFile("w+") as errors:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with subprocess.Popen(command, text=True, env=os.environ | environment, **pipes) as process:
            try:
                yield Child(process, errors, what)
            finally:
                process.kill()
