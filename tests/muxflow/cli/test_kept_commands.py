"""The commands that a report names give its project and its proof again."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import run
from edited import as_written
from onnx import TensorProto, helper, numpy_helper

import muxflow
from muxflow.board.board import find_board
from muxflow.dataflow.fit.device import Utilisation
from muxflow.dataflow.fit.timing import have_compiler
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k, writable_seeds
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.provenance import BUILD_FILE, changed_model

Call = Callable[..., tuple[int, str, str]]
GIVEN = ("--clock", "123.4567", "--fps", "50", "--lut", "0.65", "--control", "s_axilite", "--top-k", "2")


def told(folder: Path, project: str) -> tuple[list[str], str]:
    done = run("report", project, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)["provenance"]
    return entry["commands"], entry["digest"]


@pytest.mark.skipif(not have_compiler(), reason="no C++ compiler")
def test_the_commands_of_a_report_give_the_project_again(workplace: Path, tmp_path: Path, residual: Graph) -> None:
    shutil.copy(workplace / "small.npz", tmp_path)
    images = np.zeros((3, *residual.streams[residual.inputs[0]].shape), np.int64)
    np.savez(tmp_path / "my images.npz", images=images)
    done = run("build", "small.npz", *GIVEN, "--output", "first", "--force", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # One line in the order in which the command declares its options, whatever the order they were given in.
    line = (
        "muxflow build small.npz --board pynq-z2 --fps 50 --clock 123.4567 --lut 0.65 --bram 0.9 --sure 0.8 --top-k 2"
    )
    assert (tmp_path / "first" / BUILD_FILE).read_text() == f"{line} --control s_axilite\n"
    assert json.loads(done.stdout)["provenance"]["commands"][0] == f"{line} --control s_axilite --output first"
    simulate = ("csim", "first", "--images", "my images.npz", "--variant", "native", "--bounded", "--jobs", "1")
    assert run(*simulate, "--count", "2", cwd=tmp_path).returncode == 0
    commands, digest = told(tmp_path, "first")
    assert commands[1] == "muxflow csim first --variant native --images 'my images.npz' --count 2 --bounded"

    (tmp_path / "again").mkdir()
    for name in ("small.npz", "my images.npz"):
        shutil.copy(tmp_path / name, tmp_path / "again")
    for command in commands:
        done = run(*shlex.split(command)[1:], cwd=tmp_path / "again")
        assert done.returncode == 0, done.stderr
    assert told(tmp_path / "again", "first") == (commands, digest)


def test_the_copy_of_the_model_gives_the_project_again_under_the_name_of_the_command(tmp_path: Path) -> None:
    """Written by the command or by Python: the sources are named after the network, and that after its file."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in "xy"]
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], "only", kernel_shape=[1, 1])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights])
    model = tmp_path / "my net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), model)
    done = run("build", model.name, "--input-scale", "1/255", "--output", "first", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    commands, digest = told(tmp_path, "first")
    assert shlex.split(commands[0])[:3] == ["muxflow", "build", model.name]
    assert changed_model(tmp_path / "first") is None
    (tmp_path / "again").mkdir()
    shutil.copy(tmp_path / "first" / "model.onnx", tmp_path / "again" / model.name)
    done = run(*shlex.split(commands[0])[1:], cwd=tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert told(tmp_path / "again", "first") == (commands, digest)
    (tmp_path / "first" / "model.onnx").unlink()
    lost = "first: its model.onnx is gone, so that nothing is compared with the model; build the project again"
    done = run("csim", "first", "--variant", "native", "--count", "1", cwd=tmp_path)
    assert done.returncode == 0 and f"warning: {lost}" in done.stderr
    done = run("csim", "first", "--variant", "native", "--strict", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == f"error: {lost}"
    design = muxflow.open_project(tmp_path / "first").design
    muxflow.write(design, tmp_path / "p", extra={"model.onnx": b""})
    assert shlex.split(told(tmp_path, "p")[0][0])[2] == "my_net.onnx"


def test_a_project_that_python_wrote_has_the_commands_of_its_design(tmp_path: Path, residual: Graph) -> None:
    design = muxflow.fit(residual, "zcu104", clock_mhz=123.4567)
    muxflow.write(design, tmp_path / "p", extra={"model.$(x)": b""})
    commands, _ = told(tmp_path, "p")
    assert commands[0].startswith(f"muxflow build '{residual.name}.$(x)' --board zcu104 --clock 123.4567 --lut 0.7 ")
    assert commands[1:] == ["muxflow report p"]  # nothing was simulated


def same(graph: Graph) -> Graph:
    return graph


@pytest.mark.skipif(not have_compiler(), reason="no C++ compiler")
@pytest.mark.parametrize(
    ("fit", "options", "end"),
    [
        ({"fps": 12345.5}, {}, append_arg_max),
        ({"latency": 0.00123, "clock_mhz": 123.4, "slowdown": 7.5}, {"control": "s_axilite"}, same),
        (
            {"utilisation": Utilisation(0.5, 0.5, 0.6, 0.6, 0.6, 0.9), "board": "zedboard"},
            {"tool": "vivado_hls", "seeds": "writable"},
            lambda graph: append_top_k(graph, 2),
        ),
        ({"fps": 2000}, {"weights": "loaded"}, same),
    ],
)
def test_the_command_of_a_project_that_python_wrote_gives_it_again(
    workplace: Path, tmp_path: Path, fit: dict[str, Any], options: dict[str, str], end: Callable[[Graph], Graph]
) -> None:
    model, chosen = workplace / "small.npz", ProjectOptions(**options)
    graph = end(muxflow.load(model, loaded=chosen.loaded))
    graph = writable_seeds(graph) if chosen.seeds == "writable" else graph
    muxflow.write(muxflow.fit(graph, **fit), tmp_path / "p", options=chosen, extra={"model.npz": model.read_bytes()})
    commands, digest = told(tmp_path, "p")
    (tmp_path / "again").mkdir()
    shutil.copy(model, tmp_path / "again" / shlex.split(commands[0])[2])
    done = run(*shlex.split(commands[0])[1:], cwd=tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert told(tmp_path / "again", "p") == (commands, digest)


@pytest.mark.skipif(not have_compiler(), reason="no C++ compiler")
def test_a_command_that_would_make_another_design_is_not_named(tmp_path: Path, residual: Graph) -> None:
    """Unequal shares, a board of one's own, folds of one's own, a goal that the project of a tool does not reach."""

    class Mine(type(find_board("zedboard"))):  # type: ignore[misc]
        name = "mine"

    fitted = muxflow.fit(residual)
    slow = muxflow.fit(residual, "zedboard", fps=fitted.frames_per_second)
    written = {
        "--lut is one share, and the fit had 0.6 of LUT and 0.7 of FF": (
            muxflow.fit(residual, utilisation=Utilisation(lut=0.6)),
            "vitis_hls",
        ),
        "--bram is one share, and the fit had 0.9 of BRAM18, 0.5 of DSP and 0.9 of URAM": (
            muxflow.fit(residual, utilisation=Utilisation(dsp=0.5)),
            "vitis_hls",
        ),
        "board 'mine' is none of Muxflow's": (muxflow.fit(residual, Mine()), "vitis_hls"),
        "what its fit was asked for is not known": (replace(fitted, asked=None), "vitis_hls"),
        "does not reach the rate or latency": (slow, "vivado_hls"),
    }
    for number, (why, (design, tool)) in enumerate(written.items()):
        muxflow.write(design, tmp_path / f"p{number}", options=ProjectOptions(tool=tool))  # type: ignore[arg-type]
        commands, _ = told(tmp_path, f"p{number}")
        assert commands[0].startswith("# Python wrote this project, and no command does it again: "), commands
        assert why in commands[0] and commands[-1] == f"muxflow report p{number}"


@pytest.mark.skipif(not have_compiler(), reason="no C++ compiler")
@pytest.mark.parametrize("folder", ["p", "build/p"])
def test_a_model_that_was_trained_again_is_said(workplace: Path, tmp_path: Path, folder: str) -> None:
    """It lies where the commands run, or above the project; a project that keeps no copy of its model has none."""
    shutil.copytree(workplace / "untouched", tmp_path / folder)
    simulate = ("csim", str(tmp_path / folder), "--variant", "native", "--count", "1")
    (tmp_path / "small.npz").write_bytes(b"another")
    assert run(*simulate, cwd=tmp_path).stderr.count("warning") == 0
    shutil.copy(workplace / "small.npz", tmp_path / folder / "model.npz")
    (tmp_path / "elsewhere").mkdir()
    for place in ("elsewhere", "."):
        done = run(*simulate, cwd=tmp_path / place)
        assert done.returncode == 0, done.stderr
        assert "small.npz is not the model that" in " ".join(done.stderr.split())
    shutil.copy(workplace / "small.npz", tmp_path)
    assert changed_model(tmp_path / folder) is None


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (b"", "muxflow build MODEL --board pynq-z2 "),
        (b"rm -rf /", "muxflow build MODEL --board pynq-z2 "),
        (b"muxflow build 'a", "muxflow build MODEL --board pynq-z2 "),
        (b"muxflow build \xff", "muxflow build MODEL --board pynq-z2 "),
        (b"muxflow build a; rm -rf /\n$(x)\x1b[31m", "muxflow build 'a;' rm -rf / '$(x)\x1b[31m' --output p"),
    ],
)
def test_an_edited_command_is_no_other_command(workplace: Path, tmp_path: Path, content: bytes, first: str) -> None:
    shutil.copytree(workplace / "untouched", tmp_path / "p")
    kept = tmp_path / "p" / BUILD_FILE
    kept.write_text(kept.read_text().replace("--board", "--fps 10 --board"))
    assert "--fps" not in told(tmp_path, "p")[0][0]
    kept.write_bytes(content)
    as_written(tmp_path / "p")
    assert told(tmp_path, "p")[0][0].startswith(first)
    assert "\x1b" not in run("report", "p", "--verbose", "--format", "txt", cwd=tmp_path).stdout
    assert "\x1b" not in (tmp_path / "p" / "report" / "report.txt").read_text()


def test_bitstream_does_not_replace_another_networks_project(
    call_muxflow: Call, workplace: Path, tmp_path: Path
) -> None:
    shutil.copytree(workplace / "untouched", tmp_path / "p")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "p").rglob("*")}
    manifest = tmp_path / "p" / ".muxflow.json"
    manifest.write_text(manifest.read_text().replace(json.loads(manifest.read_text())["network"], "other"))
    code, _, error = call_muxflow("bitstream", workplace / "small.npz", "--output", tmp_path / "p")
    assert code == 1 and "holds the project of other, and this is" in error and "--force" in error
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "p").rglob("*") if path != manifest}
    assert after == {path: at for path, at in before.items() if path != manifest}
