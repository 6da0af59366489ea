"""The notebooks: their cells run in order, on the shipped network, and say what they claim."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(path.name for path in DOCS.glob("*.ipynb"))

# A process of its own: compiled code may end it, and registering layers changes hls4ml and FINN for good.
RUN = """
import json, sys
from pathlib import Path
names = {{}}
{before}
for number, cell in enumerate(json.loads(Path(sys.argv[1]).read_text())["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {{number}}", "exec"), names)
{after}
"""


def run(name: str, folder: Path, *, before: str = "", after: str) -> str:
    """Runs a notebook's code cells in `folder`, then `after` on their names; gives what was printed."""
    command = [sys.executable, "-W", "ignore", "-c", RUN.format(before=before, after=after), str(DOCS / name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


def test_hls4ml(tmp_path: Path) -> None:
    after = """
assert "Unsupported" in names["refusal"] or "Depth multiplier" in names["refusal"], names["refusal"]
assert names["logits"].shape == (50, 10) and names["accuracy"] > 0.9
assert (names["logits"].astype("float32") == names["graph"].read_out(names["graph"](names["codes"])).astype("float32")).all()
"""
    printed = run("hls4ml.ipynb", tmp_path, before="sys.modules.update(keras=None, tensorflow=None)", after=after)
    assert "50 images, all logits equal" in printed
    assert "hls::stream" not in printed.lower()
    assert (tmp_path / "build" / "hls4ml" / "axi_stream_driver.py").is_file()


def test_finn(tmp_path: Path) -> None:
    after = """
assert (names["found"] == names["expected"]).all() and names["found"].any()
assert [node.op_type for node in names["custom"].graph.node][1:3] == ["AutomatonWeights_hls", "MVAU_hls"]
"""
    printed = run("finn.ipynb", tmp_path, after=after)
    assert "15 images, every tensor of FINN's execution equal to the graph" in printed
    assert (tmp_path / "build" / "finn" / "build.py").is_file()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_of_a_run_is_stored(name: str) -> None:
    notebook = json.loads((DOCS / name).read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert (DOCS / name).read_text() == json.dumps(notebook, indent=1) + "\n"


def test_every_notebook_is_run() -> None:
    assert NOTEBOOKS == ["finn.ipynb", "hls4ml.ipynb"]
