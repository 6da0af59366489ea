"""A folder to work in, shared by the tests of the commands."""

from pathlib import Path

import pytest
from command_line import run

from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory, residual: Graph) -> Path:
    """A folder with a small graph and the project that `muxflow build` made of it."""
    folder = tmp_path_factory.mktemp("cli")
    write_graph(residual, folder / "small.npz")
    done = run("build", "small.npz", "--output", "project", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "interval" in done.stdout
    assert "slowest node" in done.stdout
    assert "cycle simulation" in done.stdout
    return folder
