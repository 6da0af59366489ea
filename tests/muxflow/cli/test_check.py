"""`muxflow check`."""

import json
from pathlib import Path

from command_line import run

PRETRAINED = Path(__file__).parents[3] / "frontend" / "training" / "pretrained"


def test_check_answers_node_by_node(tmp_path: Path) -> None:
    done = run("check", PRETRAINED / "mognet_digits.onnx", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    assert entry["supported"]
    assert {"Conv", "Quant", "MuxJoin", "AutomatonWeights"} <= {node["op"] for node in entry["nodes"]}
