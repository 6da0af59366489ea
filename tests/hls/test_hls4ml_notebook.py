"""The notebook for hls4ml users: its cells run in order, on the shipped network, and say what they claim."""

import json
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "docs" / "hls4ml.ipynb"

# A process of its own: compiled code may end it, and registering layers changes hls4ml for good.
RUN = """
import json, sys
from pathlib import Path
sys.modules.update(keras=None, tensorflow=None)
names = {}
for number, cell in enumerate(json.loads(Path(sys.argv[1]).read_text())["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
assert "Unsupported" in names["refusal"] or "Depth multiplier" in names["refusal"], names["refusal"]
assert names["logits"].shape == (50, 10) and names["accuracy"] > 0.9
assert (names["logits"].astype("float32") == names["graph"].readout(names["graph"](names["codes"])).astype("float32")).all()
"""


def test_cells_run(tmp_path):
    command = [sys.executable, "-c", RUN, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "50 images, all logits equal" in done.stdout
    assert "hls::stream" not in (done.stdout + done.stderr).lower()
    assert (tmp_path / "build" / "hls4ml" / "axi_stream_driver.py").is_file()


def test_nothing_of_a_run_is_stored():
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert NOTEBOOK.read_text() == json.dumps(notebook, indent=1) + "\n"
