"""`muxflow build --target hls4ml`: the whole project, or an error before any work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import command_line
import numpy as np
import pytest
from networks import NETWORKS, batch, each, recurrent

from muxflow.dataflow.files import MOST_TEXT
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph

# hls4ml finds the project of its own accord, compiles and runs it.
LINK = """
import sys
sys.modules.update(keras=None, tensorflow=None)
from pathlib import Path
import numpy as np
from hls4ml.converters import link_existing_project
folder = Path(sys.argv[1])
model = link_existing_project(folder)
model.compile()
images = list(np.load(folder.parent / "images.npz").values())
outputs = model.predict(images if len(images) > 1 else images[0])
np.savez(folder.parent / "outputs.npz", *(outputs if isinstance(outputs, list) else [outputs]))
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line without Keras, which hls4ml would load where it finds it: these models need none."""
    return command_line.run(*arguments, cwd=cwd, without=("keras", "tensorflow"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, residual: Graph) -> Path:
    folder = tmp_path_factory.mktemp("flows")
    write_graph(residual, folder / "residual.npz")
    return folder


def built(workplace: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """What `muxflow build --target hls4ml` says of a project, and its files."""
    done = run("build", "residual.npz", "--target", "hls4ml", "--output", "project", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    folder = workplace / "project"
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return json.loads(done.stdout), files


def predict_equals_the_graph(project: Path, graph: Graph) -> None:
    """By hls4ml's own simulation of a project that it finds where it stands."""
    codes = batch(graph, 7)
    np.savez(project.parent / "images.npz", *(array.astype(np.float32) for array in codes.values()))
    command = [sys.executable, "-c", LINK, str(project)]
    linked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project.parent)
    assert linked.returncode == 0, (linked.stdout + linked.stderr)[-4000:]
    assert "hls::stream" not in (linked.stdout + linked.stderr).lower()
    with np.load(project.parent / "outputs.npz") as outputs:
        for met, wanted in zip(outputs.values(), each(graph(codes)), strict=True):
            np.testing.assert_array_equal(met.reshape(wanted.shape), wanted)


def test_the_whole_project_for_the_pynq_z2(workplace: Path, residual: Graph) -> None:
    """VivadoAccelerator's: sources, block design, driver, the same bytes each time; hls4ml's own simulation of it, found
    and compiled by hls4ml where it stands, equals the graph."""
    entry, files = built(workplace)
    project = workplace / "project"
    assert entry["project"] == str(project)
    assert entry["hls4ml_back_end"] == "VivadoAccelerator"
    assert entry["interval"] < 6 * 6 * 4
    told = "VivadoAccelerator's wrapper moves one number a cycle, so that x takes 144 cycles a frame: at most 694,444 frames/s"
    assert entry["wrapper"] == f"{told} there"
    assert {"design.tcl", "axi_stream_driver.py", "firmware/residual_axi.cpp", "firmware/muxflow/fork.hpp"} <= set(
        files
    )
    assert f"OutputDir: {project}".encode() in files["hls4ml_config.yml"]
    assert not [name for name, data in files.items() if b"/.project." in data]
    assert sorted(path.name for path in workplace.iterdir()) == ["project", "residual.npz"]
    assert built(workplace)[1] == files
    predict_equals_the_graph(project, residual)
    (workplace / "shared").mkdir()
    changed = project / "firmware" / "parameters.h"
    changed.rename(workplace / "shared" / changed.name)
    changed.symlink_to(Path("../../shared") / changed.name)
    before = {file: file.stat().st_mtime_ns for file in project.rglob("*")}
    done = run("csim", "project", "--count", "5", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    rung = json.loads(done.stdout)
    assert (rung["title"], rung["status"], rung["images"]) == ("hls4ml C simulation", "equal", 5)
    assert {file: file.stat().st_mtime_ns for file in project.rglob("*")} == before, (
        "others may use the project meanwhile"
    )
    changed.write_text(changed.read_text().replace("{-1, ", "{0, "))
    done = run("csim", "project", "--count", "5", cwd=workplace)
    assert done.returncode == 7 and "hls4ml differs from the graph first at" in " ".join(done.stderr.split())
    changed.write_text("no C++")
    done = run("csim", "project", cwd=workplace)
    assert done.returncode == 6 and "build_lib.sh failed" in done.stderr
    changed.unlink()
    os.mkfifo(changed)
    done = run("csim", "project", cwd=workplace)
    assert done.returncode == 1 and "parameters.h is gone; build the project again" in done.stderr
    changed.unlink()
    changed.write_text("no C++")
    script = project / "build_lib.sh"
    for damaged in (b"\xff", b"", b"#" * (MOST_TEXT + 1)):
        script.write_bytes(damaged)
        done = run("csim", "project", cwd=workplace)
        assert done.returncode == 1 and "build the project again" in done.stderr, done.stderr
    done = run("csim", "project", "--bounded", cwd=workplace)
    assert done.returncode == 2 and "--bounded is for Muxflow's own projects" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("network", "options", "backend"), [("fusion", [], "Vitis"), ("heads", ["--backend", "Vivado"], "Vivado")]
)
def test_several_inputs_and_outputs(tmp_path: Path, network: str, options: list[str], backend: str) -> None:
    """Vitis is what is taken for them on a board that VivadoAccelerator knows; their arrays are in the graph's order."""
    graph = NETWORKS[network]()
    write_graph(graph, tmp_path / "net.npz")
    done = run("build", "net.npz", "--target", "hls4ml", "--output", "project", "--json", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hls4ml_back_end"] == backend
    predict_equals_the_graph(tmp_path / "project", graph)
    done = run("csim", "project", "--count", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hls4ml C simulation: equal to the integer graph on 4 images" in done.stdout


def test_a_recurrent_network(tmp_path: Path) -> None:
    """The cell and its recurrent weights are a layer; one that carries its state on is refused before the fit."""
    graph = recurrent()
    write_graph(graph, tmp_path / "net.npz")
    done = run("build", "net.npz", "--target", "hls4ml", "--output", "project", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("csim", "project", "--count", "40", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hls4ml C simulation: equal to the integer graph on 40 images" in done.stdout
    done = run("build", "net.npz", "--target", "hls4ml", "--stateful", "--output", "other", cwd=tmp_path)
    assert done.returncode == 3
    assert "cell (LstmCell): a state that goes on from frame to frame" in done.stderr
    assert "fit" not in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("network", NETWORKS)
def test_what_a_back_end_cannot_carry_is_refused_before_the_fit(tmp_path: Path, network: str) -> None:
    graph = NETWORKS[network]()
    write_graph(graph, tmp_path / "net.npz")
    done = run("build", "net.npz", "--target", "hls4ml", "--backend", "VivadoAccelerator", cwd=tmp_path)
    assert done.returncode == 3
    ends = f"{network}: {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
    assert f"{ends}hls4ml's VivadoAccelerator has one AXI stream each way" in " ".join(done.stderr.split())
    assert "import net.npz" in done.stderr
    assert "fit" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["net.npz"]


def test_whatever_stamp_is_drawn_the_bytes_are_the_same(tmp_path: Path) -> None:
    """YAML writes '12345678' with quotes, because it could be a number."""
    from muxflow.hls.hls4ml.writing import STAMPED, _settle

    found = set()
    for number, stamp in enumerate(("eb425aac", "12345678")):
        folder = tmp_path / f"written{number}"
        folder.mkdir()
        quoted = f"'{stamp}'" if stamp.isdigit() else stamp
        for name, text in zip(
            STAMPED, (f"LIB_STAMP={stamp}\n", f"OutputDir: {folder}\nStamp: {quoted}\n"), strict=True
        ):
            (folder / name).write_text(text)
        _settle(folder, tmp_path / "target", stamp)
        found.add(tuple((folder / name).read_text() for name in STAMPED))
    ((script, config),) = found
    assert script.startswith("LIB_STAMP=m") and f"OutputDir: {tmp_path / 'target'}\nStamp: m" in config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "hls4ml", "--seeds", "writable"], "--seeds writable is no option of --target hls4ml"),
        (["--target", "hls4ml", "--tool", "vivado_hls"], "--tool vivado_hls is no option of --target hls4ml"),
        (["--target", "hls4ml", "--control", "s_axilite"], "--control s_axilite is no option of --target hls4ml"),
        (["--backend", "Vitis"], "--backend Vitis is no option of --target vitis"),
        (
            ["--target", "hls4ml", "--board", "kv260", "--backend", "VivadoAccelerator"],
            "board 'kv260'; the VivadoAccelerator back end of hls4ml knows",
        ),
        (["--target", "hls4ml", "--output", "foreign"], "foreign exists and is not an hls4ml project"),
    ],
)
def test_errors_before_any_work(workplace: Path, options: list[str], message: str) -> None:
    (workplace / "foreign").mkdir(exist_ok=True)
    (workplace / "foreign" / "thesis.tex").write_text("mine")
    done = run("build", "residual.npz", *options, cwd=workplace)
    assert done.returncode == (2 if "is no option" in message else 1)
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "import residual.npz" not in done.stderr
    assert (workplace / "foreign" / "thesis.tex").read_text() == "mine"
