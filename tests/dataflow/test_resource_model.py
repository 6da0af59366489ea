"""Constants of the resource formulas."""

from pathlib import Path

import pytest

import muxflow.dataflow
import muxflow.hls
from muxflow.dataflow.fit.resource_model import constant, constants

SOURCES = [Path(room.__file__).parent for room in (muxflow.dataflow, muxflow.hls)]


def test_every_constant_has_a_value_and_a_provenance():
    assert constants()
    for name, entry in constants().items():
        assert entry.value > 0, name
        assert entry.provenance.split(":")[0] in ("Yosys", "FINN+", "derived"), name
        assert len(entry.provenance) > 20, name


def test_every_constant_is_used():
    text = "".join(file.read_text() for room in SOURCES for file in room.rglob("*.py"))
    assert [name for name in constants() if f'constant("{name}")' not in text] == []


def test_unknown():
    assert constant("process.lut") == constants()["process.lut"].value
    with pytest.raises(KeyError):
        constant("process.luts")
