"""`muxflow boards`."""

import json
from pathlib import Path

from command_line import run


def test_boards_are_listed_with_their_resources(tmp_path: Path) -> None:
    listed = json.loads(run("boards", "--json", cwd=tmp_path).stdout)
    assert listed["pynq-z2"]["lut"] == 53200
    assert "53,200" in run("boards", cwd=tmp_path).stdout
