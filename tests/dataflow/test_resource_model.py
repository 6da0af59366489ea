"""The resource model: its file, its parts, products between measured ones, and the errors of sums."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import muxflow.dataflow
import muxflow.hls
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.resource_model import (
    FILE,
    FORMAT,
    PARTS,
    PRODUCT_KNOTS,
    SIGN_KNOTS,
    between,
    estimate,
    model,
    products,
    ratio,
    read_model,
)

SOURCES = [Path(room.__file__).parent for room in (muxflow.dataflow, muxflow.hls)]


def test_every_part_is_used():
    text = "".join(file.read_text() for room in SOURCES for file in room.rglob("*.py") if file.stem != FILE.stem)
    assert [part for part in PARTS if part not in text and part != "process"] == []
    assert set(model().parts) == set(PARTS)


def test_estimate_is_linear_and_rounds_up():
    unit = model().parts["pool"]
    lut, ff = estimate(pool={"constant": 1, "bit": 10})
    assert lut - 1 < unit["constant"].lut + 10 * unit["bit"].lut <= lut
    assert ff - 1 < unit["constant"].ff + 10 * unit["bit"].ff <= ff
    assert estimate() == (0, 0)
    with pytest.raises(KeyError):
        estimate(pool={"bits": 1})
    with pytest.raises(KeyError):
        estimate(pol={})


@given(st.sampled_from([SIGN_KNOTS, PRODUCT_KNOTS]), st.integers(1, 200))
def test_between(knots, size):
    shares = between(knots, size)
    assert sum(knot * share for knot, share in shares.items()) == pytest.approx(size)
    assert all(share > 0 for share in shares.values())
    if size in knots:
        assert shares == {size: 1}


def test_products():
    assert products(1, 1, True) == {"sign_1": 1}
    assert products(1, 16, True) == {"sign_8": 2}
    assert products(2, 2, False) == {"product_4": 1}
    assert products(2, 1, False) == {"product_4": 0.5}
    assert products(2, 3, False) == {"product_4": 0.75, "product_12": 0.25}

    def lut(weight_bits, input_bits, signs=False):
        return sum(
            model().parts["matrix_vector"][name].lut * n for name, n in products(weight_bits, input_bits, signs).items()
        )

    assert [lut(b, 4) for b in (1, 2, 3, 4)] == sorted(lut(b, 4) for b in (1, 2, 3, 4))
    assert [lut(1, b, True) for b in range(1, 9)] == sorted(lut(1, b, True) for b in range(1, 9))
    # As measured: two bits by two about 10 LUTs with the weight stream, one by one between two and three.
    assert 8 < lut(2, 2) < 11 and 1.5 < lut(1, 1, True) < 2.8


@pytest.mark.parametrize("resource", ["lut", "ff"])
def test_ratio(resource):
    steps = [ratio(resource, p / 100) for p in range(101)]
    assert steps == sorted(steps)
    assert steps[0] == steps[5] < 1 < steps[90] < steps[95] == steps[100]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f"format = {FORMAT}", "format = 1", f"of format 1; this version of Muxflow reads {FORMAT}"),
        (f"format = {FORMAT}", "", "of format None"),
        (f"format = {FORMAT}", "format = ", "not a calibration file"),
        ("[pool]", "[poll]", "lacks 'pool'"),
        ("sign_2 = [", "sign_3 = [", "lacks 'sign_2'"),
        ("[process]\nconstant = [", "[process]\nconstant = [1.0, ", "where 2 numbers belong"),
        ("[process]\nconstant = [", "[process]\nconstant = [-", "where numbers from 0 belong"),
        ("lut = [[0.05", "lut = [[0.99", "a spread that does not ascend"),
        ("lut = [[0.05", "lut = [[true", "where 2 numbers belong"),
    ],
)
def test_damaged_or_old_file(tmp_path, old, new, message):
    text = FILE.read_text()
    assert old in text
    file = tmp_path / "model.toml"
    file.write_text(text.replace(old, new))
    with pytest.raises(MuxflowError, match=f"{re.escape(str(file))}.*{re.escape(message)}.*make calibrate"):
        read_model(file)


def test_no_file(tmp_path):
    with pytest.raises(MuxflowError, match="not a calibration file"):
        read_model(tmp_path / "none.toml")
    assert read_model() == model()
