"""Constant tables: what is packed is what is meant, in Python's text and in what a kernel reads."""

import re

import numpy as np
import pytest

from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.hls.emit import table_pragmas
from muxflow.hls.kernels import Table
from muxflow.hls.tables import element_bits, packed, table_definition, table_type, words


def unpack(rows, table):
    """Bit by bit, as the header says."""
    bits, columns = element_bits(table), table.values.shape[1]
    size = columns * bits if columns * bits <= 64 else 36 if bits <= 36 else 64
    found = []
    for row in rows:
        whole = sum(word << (size * i) for i, word in enumerate(row))
        assert all(word < 1 << size for word in row)
        codes = [whole >> (bits * i) & ((1 << bits) - 1) for i in range(columns)]
        if table.bipolar:
            found.append([1 if code else -1 for code in codes])
        else:
            signed = width(table.lo, table.hi)[1]
            found.append([code - (1 << bits) if signed and code >> (bits - 1) else code for code in codes])
    return found


@pytest.mark.parametrize("columns", [1, 7, 9, 64, 65, 200])
@pytest.mark.parametrize(("lo", "hi"), [(-1, 1), (0, 1), (-128, 127), (0, 255), (-5, 3), (0, 2**36), (-(2**40), 2**40)])
def test_packed_words(columns, lo, hi):
    values = np.random.default_rng(columns).integers(lo, hi + 1, (5, columns))
    values.flat[0], values.flat[-1] = lo, hi
    table = Table("t", values, lo, hi)
    rows = packed(table)
    assert unpack(rows, table) == values.tolist()
    assert {len(row) for row in rows} == {words(table)}


@pytest.mark.parametrize("columns", [1, 64, 65, 100])
def test_a_bipolar_element_is_one_bit(columns):
    values = np.random.default_rng(1).choice([-1, 1], (4, columns))
    table = Table("t", values, -1, 1, bipolar=True)
    assert unpack(packed(table), table) == values.tolist()
    assert words(table) == (1 if columns <= 64 else -(-columns // 36))
    assert table_type(table) == f"BipolarTable<4, {columns}>"


def test_written_text():
    table = Table("t", np.array([[1, -2], [0, 3]]), -2, 3)
    text = table_definition("t", table)
    assert "static const muxflow::Table<3, true, 2, 2>::word t[2][muxflow::Table<3, true, 2, 2>::WORDS] = {" in text
    assert re.findall(r"\{(.*?)\}", text.split("#else")[0].split("NATIVE")[1]) == ["1, -2", "0, 3"]
    assert re.findall(r"\{(.*?)\}", text.split("#else")[1]) == ["0x31", "0x18"]


def test_banks_in_the_text():
    table = Table("t", np.array([[1, -2], [0, 3], [2, 2], [-1, 0]]), -2, 3, banks=2)
    text = table_definition("t", table)
    assert "static const muxflow::Table<3, true, 2, 2>::word t[2][2][muxflow::Table<3, true, 2, 2>::WORDS] = {" in text
    native = re.sub(r"\s", "", text.split("#else")[0].split("NATIVE")[1])
    assert native == "{{1,-2},{0,3}},{{2,2},{-1,0}}"
    assert re.sub(r"\s", "", text.split("#else")[1].split("#endif")[0]) == "{{0x31},{0x18}},{{0x12},{0x7}}"
    assert table_pragmas("t", table, "register", "vitis_hls") == ["array_partition variable=t complete dim=1"]
    wide = Table("t", np.zeros((4, 65), np.int64), 0, 1, banks=2)
    dims = [pragma[-5:] for pragma in table_pragmas("t", wide, "register", "vitis_hls")]
    assert dims == ["dim=1", "dim=3"]


@pytest.mark.parametrize(("tool", "storage"), [("vitis_hls", "bind_storage"), ("vivado_hls", "RESOURCE")])
def test_every_word_of_a_wide_row_is_a_memory(tool, storage):
    wide = Table("t", np.zeros((9, 65), np.int64), 0, 1)
    partition, place = table_pragmas("t", wide, "bram", tool)
    assert partition == "array_partition variable=t complete dim=2"
    assert place.startswith(storage)
    (place,) = table_pragmas("t", Table("t", np.zeros((9, 64), np.int64), 0, 1), "bram", tool)
    assert place.startswith(storage)


@pytest.mark.needs("hls4ml")
def test_ladder(ladder):
    """Rows of one word and of many, elements that cross words, and elements wider than half a word."""
    generator = np.random.default_rng(0)
    for lo, hi, bipolar in ((-1, 1, True), (-1, 1, False), (-128, 127, False), (-(2**39), 2**39, False)):
        values = generator.choice([-1, 1], (6, 20)) if bipolar else generator.integers(lo, hi + 1, (6, 20))
        op = RomWeights(values, repeats=2)
        ladder.add(op, [], lambda m=values: (m,), folds=[Fold(1, 1), Fold(3, 2), Fold(6, 10), Fold(3, 20)])
    bias = generator.integers(-(2**35), 2**35, 24)
    x = Stream((2, 24), -100, 100)
    ladder.add(
        ShiftClip(bias, 3, -7, 7),
        [x],
        lambda v: (np.clip((v + bias) >> 3, -7, 7),),
        folds=[Fold(1), Fold(12), Fold(24)],
    )
    assert ladder.climb() == 19
