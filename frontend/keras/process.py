"""The child processes that hold Keras: what they need, how they are started, how they answer."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from muxflow.dataflow.errors import MachineFault, MuxflowError, ToolError, UnsupportedError
from muxflow.dataflow.files import ARCHIVE_FAULTS, naming
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.processes import completed, how, python, running
from muxflow.dataflow.space import if_full
from muxflow.frontend.faults import MEMORY_REMEDY, no_memory
from muxflow.frontend.keras.v3.hgq_folder import keras_v3_environment

Generation = Literal[2, 3]

SUFFIXES = (".h5", ".hdf5", ".keras")
"""Files that Keras writes; both of its generations write all of them."""
HDF5 = b"\x89HDF\r\n\x1a\n"
"""How HDF5 files begin."""
HDF5_FAULT = 3
"""How `hdf5_version.py` ends on a file that the HDF5 library cannot open."""
MODULES = ("tensorflow", "tf_keras", "qkeras", "pyparsing")
INSTALL = install_extra("qkeras")
ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""Of the child only: Keras 2 as TensorFlow's Keras, no chatter, the kernels that compute alike everywhere, no GPU."""
HOME = "KERAS_HOME"
"""Names the folder of Keras' settings; a user's own `keras.json` may say that layers are of other floats, or channels first."""
LINES = 8
VERSION = re.compile(r"[\w.+-]{1,40}")
MOST_METADATA = 1 << 16
"""Bytes that are read of the part of an archive that says who wrote it: some hundred, where Keras did."""
VERSION_SECONDS = 60.0
"""Most that the HDF5 library may take to find the version in a file (decision): some milliseconds, where it is whole."""
ANSWER_SECONDS = 1800.0
"""Most that Keras may take to describe a model, or to compute a batch (decision): the largest networks take a minute."""


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
    """Read the version of Keras that wrote a model file; "" when the file does not say, or is none.

    Raises MuxflowError for a damaged file that the HDF5 library cannot read to its end.
    """
    try:
        about = path.stat()
        version = _archive_version(path) if zipfile.is_zipfile(path) else _hdf5_version(path, about.st_mtime_ns)[0]
    except ARCHIVE_FAULTS:
        return ""
    return version if VERSION.fullmatch(version) else ""


def _archive_version(path: Path) -> str:
    with zipfile.ZipFile(path) as archive, archive.open("metadata.json") as file:
        return str(json.loads(file.read(MOST_METADATA))["keras_version"])


def check_readable(path: Path) -> None:
    """Raise MuxflowError for a file that no Keras can read, without starting one: neither an archive nor sound HDF5."""
    if zipfile.is_zipfile(path):
        return
    with naming(path), path.open("rb") as file:
        hdf5 = file.read(len(HDF5)) == HDF5
    fault = _hdf5_version(path, path.stat().st_mtime_ns)[1] if hdf5 else "neither an HDF5 file nor an archive of Keras"
    if fault:
        raise MuxflowError(f"model {path}: Keras cannot read it ({fault}); give a whole model that model.save wrote")


@cache
def _hdf5_version(path: Path, _changed: int) -> tuple[str, str]:
    """Read the version in an HDF5 file, in a process of its own, once for a file that has not changed; and what is wrong."""
    command = python(str(Path(__file__).with_name("hdf5_version.py")), str(path.absolute()))
    try:
        done = completed(command, seconds=VERSION_SECONDS)
    except subprocess.TimeoutExpired:
        raise MuxflowError(
            f"model {path}: the HDF5 library does not come to its end within {VERSION_SECONDS:g} s (VERSION_SECONDS), so it "
            "is damaged; save the model again with model.save"
        ) from None
    if done.returncode not in (0, HDF5_FAULT) and (fault := no_memory(done.stderr)):
        raise MachineFault(f"model {path}: not enough memory to look into it ({fault}); {MEMORY_REMEDY}")
    return done.stdout.strip(), " ".join(done.stderr.split()) if done.returncode == HDF5_FAULT else ""


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
    except ARCHIVE_FAULTS:
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
        """Return the next answer; raises ToolError naming `what`, with the child's last lines, when none comes.

        A child that gives none within ANSWER_SECONDS is killed: Keras runs in circles over some damaged models.
        """
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(ANSWER_SECONDS, stop)
        timer.start()
        try:
            found = self._next()
        finally:
            timer.cancel()
        if found is not None:
            return found
        status = self._process.wait()
        if late.is_set():
            raise ToolError(
                f"{what}: Keras has given no answer within {ANSWER_SECONDS:g} s (ANSWER_SECONDS), and was stopped; see whether "
                "keras.models.load_model reads it, and save it again with model.save"
            )
        self._errors.seek(0)
        said = self._errors.read()
        if fault := no_memory(said):
            raise MachineFault(f"{what}: not enough memory for the process that runs Keras ({fault}); {MEMORY_REMEDY}")
        last = "\n".join(said.splitlines()[-LINES:])
        raise ToolError(f"{what}: the process that runs Keras ended with {how(status)}:\n{last}{if_full(said)}")

    def _next(self) -> dict[str, Any] | None:
        """Read up to the next answer; None where the child ends before it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        return None


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what a user has set of Keras, as its backend or the most epochs: no model means another thing for it."""
    return {key: value for key, value in environment.items() if not key.startswith("KERAS_")}


@contextmanager
def keras_child(module: str, arguments: Sequence[str], what: str, generation: Generation = 2) -> Iterator[Child]:
    """Run `python -m muxflow.frontend.<module>` with one generation of Keras.

    It ends at the latest with the block. `what` names the model or network in errors. Raises ToolError when what the
    generation needs is not installed: the extra `qkeras`, or HGQ2 in its folder.
    """
    if generation == 2:
        require_packages()
        own = ENVIRONMENT
    else:
        own = keras_v3_environment()
    command = python("-m", f"muxflow.frontend.{module}", *arguments)
    with scratch_folder() as folder, (folder / "errors").open("w+", errors="replace") as errors:
        # What TensorFlow leaves where temporary files go, because it is killed, goes with the folder.
        environment = {**_without_settings(os.environ), **own, "TMPDIR": str(folder), HOME: str(folder / "keras")}
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with running(command, text=True, env=environment, **pipes) as process:
            yield Child(process, errors, what)
