"""The photographs of the shipped codes are found by their digests, or named."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.datasets.pictures import Picture, load_photographs

SCRIPT = Path(__file__).parents[2] / "tools" / "photographs.py"


@pytest.fixture(scope="module")
def photographs():
    spec = importlib.util.spec_from_file_location("photographs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_photographs_are_collected_whatever_their_names(photographs, tmp_path, monkeypatch):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tmp_path / "in" / "deep" / "2560x1600.PNG")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    packaged = load_photographs("train")[0]
    wanted = {packaged.name: packaged.digest(), "mine": Picture(tmp_path / "in" / "deep" / "2560x1600.PNG").digest()}
    monkeypatch.setattr(photographs, "PRETRAINED", tmp_path)
    file = tmp_path / "encoder_digits.json"
    file.write_text(json.dumps({"compression": {"pictures": wanted}}))
    assert photographs.collect(tmp_path / "in", tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.png"]
    file.write_text(json.dumps({"compression": {"pictures": {**wanted, "absent": "0" * 16}}}))
    with pytest.raises(MuxflowError, match="1 photographs are not there: absent"):
        photographs.collect(tmp_path / "in", tmp_path / "none")
    assert not (tmp_path / "none").exists()
