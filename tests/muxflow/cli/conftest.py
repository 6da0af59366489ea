"""A folder to work in, shared by the tests of the commands."""

import shutil
from pathlib import Path

import pytest
from command_line import run

from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory, residual: Graph) -> Path:
    """A folder with a small graph, the project that `muxflow build` made of it, and an untouched copy of it.

    Tests run commands in `project`; a test that depends on what has not run copies `untouched`.
    """
    folder = tmp_path_factory.mktemp("cli")
    write_graph(residual, folder / "small.npz")
    done = run("build", "small.npz", "--output", "project", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "interval" in done.stdout
    assert "slowest node" in done.stdout
    assert "cycle simulation" in done.stdout
    shutil.copytree(folder / "project", folder / "untouched")
    return folder
