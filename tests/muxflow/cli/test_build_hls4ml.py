"""`muxflow build --target hls4ml`: the whole project, or an error before any work."""

import json
import subprocess
import sys
from pathlib import Path

import command_line
import numpy as np
import pytest

from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import random_codes

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
np.save(folder.parent / "outputs.npy", model.predict(np.load(folder.parent / "images.npy")))
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


def test_the_whole_project_for_the_pynq_z2(workplace: Path, residual: Graph) -> None:
    """VivadoAccelerator's: sources, block design, driver, the same bytes each time; hls4ml's own simulation of it, found
    and compiled by hls4ml where it stands, equals the graph."""
    entry, files = built(workplace)
    project = workplace / "project"
    assert entry["project"] == str(project)
    assert entry["hls4ml_back_end"] == "VivadoAccelerator"
    assert {"design.tcl", "axi_stream_driver.py", "firmware/residual_axi.cpp", "firmware/muxflow/fork.hpp"} <= set(
        files
    )
    assert f"OutputDir: {project}".encode() in files["hls4ml_config.yml"]
    assert not [name for name, data in files.items() if b"/.project." in data]
    assert sorted(path.name for path in workplace.iterdir()) == ["project", "residual.npz"]
    assert built(workplace)[1] == files
    codes = random_codes(residual.streams[residual.inputs[0]], 7, np.random.default_rng(0))
    np.save(workplace / "images.npy", codes.astype(np.float32))
    command = [sys.executable, "-c", LINK, str(project)]
    linked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=workplace)
    assert linked.returncode == 0, (linked.stdout + linked.stderr)[-4000:]
    outputs = np.load(workplace / "outputs.npy").reshape(7, -1)
    np.testing.assert_array_equal(outputs, residual(codes).reshape(7, -1))


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
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "import residual.npz" not in done.stderr
    assert (workplace / "foreign" / "thesis.tex").read_text() == "mine"
