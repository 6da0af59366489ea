"""Files as users have them: of any name, of the wrong kind, edited, replaced meanwhile, and what was in a folder before."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from muxflow import api
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.proving import prove, random_images

Call = Callable[..., tuple[int, str, str]]
PRETRAINED = Path(__file__).parents[3] / "frontend" / "training" / "pretrained" / "mognet_digits.onnx"
BOARD = """
from muxflow.board.board import Board
from muxflow.dataflow.fit.device import Device, Resources

class Mine(Board):
    name, title, tools, products = "mine", "Mine", "any", "bit"
    clock_mhz = {clock}
    device = Device("xc7z020clg400-1", lut={lut}, ff=106400, bram18=280, dsp=220, reserve=Resources({reserve}))
    {more}
"""


@pytest.fixture
def muxflow(call_muxflow: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workplace: Path) -> Call:
    """`muxflow(*arguments)` in a new folder that holds the small graph: exit code, output, the error on one line."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(workplace / "small.npz", tmp_path)

    def call(*arguments: Any) -> tuple[int, str, str]:
        code, said, error = call_muxflow(*arguments)
        assert "Traceback" not in error
        return code, said, " ".join(error.split())

    return call


@pytest.mark.parametrize("name", ["renamed.NPZ", "graph", "graph.bin", "graph.onnx"])
def test_a_graph_of_any_name_is_read_alike(muxflow: Call, name: str, tmp_path: Path) -> None:
    shutil.copy("small.npz", name)
    assert muxflow("check", name)[0] == 0
    assert muxflow("fit", name, "--fps", "100")[0] == 0
    assert muxflow("build", name, "--fps", "100")[0] == 0
    assert (tmp_path / "build" / Path(name).stem / "design.json").exists()


def test_a_disk_that_fails_amid_a_file_names_it(muxflow: Call, workplace: Path) -> None:
    """The memory of a process at address 0 reads as such a disk does."""
    shutil.copytree(workplace / "project", "project")
    source = Path("project/src/top.cpp").resolve()
    source.unlink()
    for file, command in (
        (Path("model.h5"), ("check", "model.h5")),
        (Path("packed"), ("decompress", "packed", "-o", "picture.png")),
        (source, ("report", "project")),
    ):
        file.symlink_to("/proc/self/mem")
        code, _, error = muxflow(*command)
        assert code == 1 and error.startswith(f"error: {file}: ") and "Input/output error" in error


@pytest.mark.parametrize("name", ["digits.ONNX", "digits"])
def test_a_model_of_any_name_is_read_and_kept_for_the_proof(muxflow: Call, name: str) -> None:
    shutil.copy(PRETRAINED, name)
    assert muxflow("check", name)[0] == 0
    code, _, error = muxflow("build", name, "--fps", "10")
    assert code == 0, error
    assert Path("build/digits/model.onnx").read_bytes() == PRETRAINED.read_bytes()
    for command in ("csim", "report", "bitstream"):
        if command != "bitstream":
            code, _, error = muxflow(command, name)
            assert code == 1 and f"{name}: no project but a model (QONNX)" in error
            assert f"`muxflow build {name} --output build/digits`" in error


def write_kinds(folder: Path) -> dict[str, str]:
    contents = {
        "image": (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG image"),
        "text": (b"a thesis\n", "a text file"),
        "accents": ("é".encode() * 5000, "a text file"),
        "packed": (b"\x1f\x8b\x08" + bytes(40), "compressed by gzip"),
        "paper": (b"%PDF-1.5" + bytes(40), "a PDF document"),
        "lite": (b"\x1c\0\0\0TFL3" + bytes(40), "a TensorFlow Lite model"),
        "pickle": (b"\x80\x04\x95" + bytes(40), "a Python pickle"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    np.savez(folder / "arrays", a=np.ones(3))
    (folder / "arrays.npz").rename(folder / "arrays")
    with zipfile.ZipFile(folder / "archive", "w") as archive:
        archive.writestr("photo.jpg", b"x")
    with zipfile.ZipFile(folder / "torch", "w") as archive:
        archive.writestr("net/data.pkl", b"x")
    more = {"arrays": "arrays saved by NumPy", "archive": "a zip archive", "torch": "a PyTorch file; export"}
    return {name: words for name, (_, words) in contents.items()} | more


def test_a_file_of_the_wrong_kind_is_named_as_what_it_is(muxflow: Call, tmp_path: Path) -> None:
    for name, words in write_kinds(tmp_path).items():
        for given in (name, f"{name}.onnx", f"{name}.h5"):
            if given != name:
                shutil.copy(name, given)
            code, _, error = muxflow("check", given)
            assert code == 1 and words in error and given in error, (given, error)


def test_folders_and_projects_given_as_models(muxflow: Call, workplace: Path, tmp_path: Path) -> None:
    for command in ("check", "fit", "build"):
        code, _, error = muxflow(command, workplace / "project")
        assert code == 1 and "no model but a Muxflow project: `muxflow csim`" in error
        code, _, error = muxflow(command, tmp_path)
        assert code == 1 and "a folder; expected a model file" in error


@pytest.mark.parametrize("opset", [27, 10**9])
def test_an_opset_of_the_future_is_one_message(muxflow: Call, opset: int) -> None:
    model = onnx.load(PRETRAINED)
    for entry in model.opset_import:
        entry.version = opset if entry.domain == "" else entry.version
    onnx.save(model, "future.onnx")
    for command in ("check", "fit", "build"):
        code, _, error = muxflow(command, "future.onnx")
        assert code == 3 and f"operators of opset {opset}; supported are 1 to" in error
        assert error.count("opset_version") == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lut": "'53200'"}, "lut is '53200'; expected a whole number from 0"),
        ({"lut": "float('nan')"}, "lut is nan"),
        ({"lut": "-5"}, "lut is -5"),
        ({"lut": "10**40"}, "lut is 1000"),
        ({"reserve": "ff='x'"}, "reserve.ff is 'x'"),
        ({"reserve": "float('nan')"}, "reserve.lut is nan"),
        ({"clock": "'fast'"}, "a clock of 'fast' MHz; it must be positive, and at most 2000 (clock_mhz)"),
        ({"clock": "float('inf')"}, "(clock_mhz)"),
        ({"more": "ps_clock_mhz = -1"}, "a clock of -1 MHz; it must be positive, and at most 2000 (ps_clock_mhz)"),
        ({"more": "import sys; sys.exit(3)"}, "cannot be run (SystemExit: 3)"),
        ({"more": "1 / 0"}, "cannot be run (ZeroDivisionError: division by zero)"),
        ({"more": "def __init__(self): raise OSError('no')"}, "cannot be run (OSError: no)"),
        ({"more": "def"}, "cannot be run (SyntaxError"),
    ],
)
def test_a_board_file_that_is_wrong(muxflow: Call, changed: dict[str, str], message: str) -> None:
    fields = {"lut": "53200", "reserve": "lut=1", "clock": "100.0", "more": ""} | changed
    Path("mine.py").write_text(BOARD.format(**fields))
    for command in ("fit", "build"):
        code, _, error = muxflow(command, "small.npz", "--board", "mine.py")
        assert code == 1 and error.startswith("error: board file mine.py: ") and message in error


def edits(entry: dict[str, Any]) -> dict[str, Any]:
    """What a user may do to design.json, by its name."""
    stream = next(iter(entry["depths"]))
    changed: dict[str, Any] = {
        f"{key} is {value!r}": {**entry, key: value} for key in entry for value in (None, 7, [], "x")
    }
    for value in (0, -1, 1.5, "2", 10**30, None, True):
        changed[f"depth {value!r}"] = {**entry, "depths": {**entry["depths"], stream: value}}
    changed["no depth"] = {**entry, "depths": {}}
    changed["another stream"] = {**entry, "depths": {**entry["depths"], "nobody": 2}}
    changed["an unknown key"] = {**entry, "colour": "red"}
    changed["no board"] = {key: value for key, value in entry.items() if key != "board"}
    changed |= {"a list": [], "a number": 3, "empty": {}}
    return changed


def test_an_edited_design_is_one_message(muxflow: Call, workplace: Path, tmp_path: Path) -> None:
    """Whatever is edited: a message that names the file, and what is wrong there, or that it was changed."""
    shutil.copytree(workplace / "untouched", "edited")
    file = tmp_path / "edited" / "design.json"
    whole = json.loads(file.read_text())
    valid = []
    for name, entry in edits(whole).items():
        file.write_text(json.dumps(entry))
        code, _, error = muxflow("report", "edited")
        assert code == 1, (name, error)
        if f"error: {file}: not a whole Muxflow design (" not in error:
            assert f"error: {file}: changed since Muxflow wrote it" in error, (name, error)
            valid.append(name)
    known = {
        "version is 'x'",
        "board is 'x'",
        "completions is None",
        "clock_mhz is 7",
        "apart is None",
    }
    assert set(valid) == known, valid
    for text in ("", "{", "nan", "[" * 100_000, '{"board": NaN}'):
        file.write_text(text)
        code, _, error = muxflow("csim", "edited")
        assert code == 1 and str(file) in error


def test_a_project_that_is_replaced_while_it_is_simulated(residual: Graph, workplace: Path, tmp_path: Path) -> None:
    shutil.copytree(workplace / "project", tmp_path / "project")
    opened = api.open_project(tmp_path / "project")
    images = random_images(opened.design.graph, 2)

    def replaced(title: str, total: int) -> Callable[[int, int], None]:
        if total:
            (tmp_path / "project" / "src" / "top.cpp").write_text("// another")
        return lambda _done, _count: None

    message = "project was changed while it was simulated, perhaps by a build; run this again"
    with pytest.raises(MuxflowError, match=message):
        prove(opened, images, variants=("native",), begin=replaced)

    def put_in(title: str, total: int) -> Callable[[int, int], None]:
        if total:
            (tmp_path / "project" / "model.onnx").write_bytes(b"another")
        return lambda _done, _count: None

    opened = api.open_project(shutil.copytree(workplace / "project", tmp_path / "project", dirs_exist_ok=True))
    with pytest.raises(MuxflowError, match=message):
        prove(opened, images, variants=("native",), begin=put_in)
    (tmp_path / "project" / "model.onnx").unlink()
    opened = api.open_project(tmp_path / "project")

    def removed(title: str, total: int) -> Callable[[int, int], None]:
        shutil.rmtree(tmp_path / "project", ignore_errors=True)
        return lambda _done, _count: None

    assert opened.hls.digest
    with pytest.raises(MuxflowError, match=message):
        prove(opened, images, variants=("native",), begin=removed)


def test_another_networks_project_is_replaced_only_with_force(muxflow: Call, residual: Graph, tmp_path: Path) -> None:
    write_graph(replace(residual, name="other"), tmp_path / "other.npz")
    quick = ("--fps", "100", "--output", "p")
    assert muxflow("build", "small.npz", *quick)[0] == 0
    code, _, error = muxflow("build", "other.npz", *quick)
    assert code == 1 and f"p holds the project of {residual.name}, and this is other" in error and "--force" in error
    assert muxflow("build", "small.npz", *quick)[0] == 0
    assert muxflow("build", "other.npz", *quick, "--force")[0] == 0
    assert muxflow("build", "other.npz", *quick)[0] == 0


def test_edited_sources_are_replaced_only_with_force(muxflow: Call, tmp_path: Path) -> None:
    """All that a user may edit; what only says which design it is, is replaced as often as it is damaged."""
    quick = ("build", "small.npz", "--fps", "100", "--output", "p")
    assert muxflow(*quick)[0] == 0
    source, bench = tmp_path / "p" / "src" / "top.cpp", tmp_path / "p" / "tb" / "testbench.cpp"
    written = source.read_bytes(), bench.read_bytes()
    source.write_bytes(written[0] + b"// a pragma of mine\n")
    bench.write_text("mine")
    for command in (quick, ("bitstream", "small.npz", "--output", "p")):
        code, _, error = muxflow(*command)
        assert code == 1 and "p: src/top.cpp, tb/testbench.cpp changed since Muxflow wrote it" in error
        assert "--force" in error and bench.read_text() == "mine"
    assert muxflow(*quick, "--force")[0] == 0
    assert (source.read_bytes(), bench.read_bytes()) == written
    (tmp_path / "p" / "design.json").write_text("{}")
    (tmp_path / "p" / "graph.npz").write_text("")
    source.unlink()
    assert muxflow(*quick)[0] == 0
    assert source.read_bytes() == written[0]


def test_a_rebuild_keeps_what_is_not_its_own_and_follows_a_link(muxflow: Call, tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to("real")
    quick = ("build", "small.npz", "--fps", "100", "--output", "link")
    assert muxflow(*quick)[0] == 0
    assert muxflow("report", "link")[0] == 0
    mine = {"deploy/accelerator.bit": "hours", "notes.txt": "mine", "src/tables/mine.hpp": "mine"}
    for name, text in mine.items():
        (real / name).parent.mkdir(exist_ok=True)
        (real / name).write_text(text)
    written = (real / "src" / "top.cpp").read_bytes()
    (real / "src" / "top.cpp").write_text("edited")
    assert muxflow(*quick, "--force")[0] == 0
    assert link.is_symlink() and {name: (real / name).read_text() for name in mine} == mine
    assert (real / "report" / "report.html").exists() and (real / "src" / "top.cpp").read_bytes() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real", "small.npz"]


@pytest.mark.parametrize(("option", "file"), [("--plot", "plot.png"), ("--output", "fit.json")])
def test_files_that_fit_writes(muxflow: Call, tmp_path: Path, option: str, file: str) -> None:
    quick = ("fit", "small.npz", "--fps", "100")
    assert muxflow(*quick, option, f"new/folder/{file}")[0] == 0
    assert (tmp_path / "new" / "folder" / file).stat().st_size
    (tmp_path / file).mkdir()
    code, _, error = muxflow(*quick, option, file)
    assert code == 1 and f"{file} is a folder; give the name of a file" in error
    code, _, error = muxflow(*quick, option, f"small.npz/{file}")
    assert code == 1 and "small.npz is no folder" in error
    if os.geteuid():  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o555)
        code, _, error = muxflow(*quick, option, f"locked/{file}")
        assert code == 1 and "locked is read-only" in error
