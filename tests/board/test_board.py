"""Boards: the ones that ship, and a user's own file."""

import os
import sys
from pathlib import Path

import pytest

from muxflow.board.board import boards, find_board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import MOST_TEXT

# Part, LUT, FF, BRAM36, DSP as in the vendor's product tables.
PUBLISHED = {
    "pynq-z1": ("xc7z020clg400-1", 53200, 106400, 140, 220),
    "pynq-z2": ("xc7z020clg400-1", 53200, 106400, 140, 220),
    "arty-z7-20": ("xc7z020clg400-1", 53200, 106400, 140, 220),
    "zedboard": ("xc7z020clg484-1", 53200, 106400, 140, 220),
    "ultra96-v2": ("xczu3eg-sbva484-1-i", 70560, 141120, 216, 360),
    "zcu104": ("xczu7ev-ffvc1156-2-e", 230400, 460800, 312, 1728),
    "kv260": ("xck26-sfvc784-2LV-c", 117120, 234240, 144, 1248),
}

OWN = """
from muxflow.board.board import Board
from muxflow.dataflow.fit.device import Device


class Mine(Board):
    name = "mine"
    title = "My board"
    device = Device("xc7z010clg400-1", lut=17600, ff=35200, bram18=120, dsp=80)
    clock_mhz = 50.0
    tools = "any"
    products = "HLS project"
"""


def test_every_published_board_is_there_with_its_figures() -> None:
    found = {
        name: (b.device.part, b.device.lut, b.device.ff, b.device.bram18 // 2, b.device.dsp)
        for name, b in boards().items()
    }
    assert found == PUBLISHED


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_docstring_lists_part_clock_tools_and_products(name: str) -> None:
    board = find_board(name)
    text = type(board).__doc__ or ""
    for expected in (
        board.device.part,
        f"{board.device.lut:,}",
        f"{board.clock_mhz:g} MHz",
        board.tools,
        board.products,
        *board.board_parts,
        f"{board.ps_clock_mhz:g} MHz",
    ):
        assert expected in text


def test_a_board_file_is_read_anew_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited within a second, of the same size, with a mark of Windows before it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "mine.py"
    for lut in (17600, 17700):
        file.write_text(OWN.replace("17600", str(lut)), encoding="utf-8-sig")
        os.utime(file, (1, 1))
        assert find_board(str(file)).device.lut == lut
    assert list(tmp_path.iterdir()) == [file]


def test_a_board_file_is_not_read_without_end(tmp_path: Path) -> None:
    with (tmp_path / "mine.py").open("wb") as file:
        file.truncate(MOST_TEXT + 1)
    with pytest.raises(MuxflowError, match=r"board file .*mine\.py: cannot be run \(.*MOST_TEXT"):
        find_board(str(tmp_path / "mine.py"))


def test_families_and_board_files() -> None:
    families = {name: board.family for name, board in boards().items()}
    zynq = {"pynq-z1", "pynq-z2", "arty-z7-20", "zedboard"}
    assert families == {name: "zynq-7000" if name in zynq else "zynq-ultrascale+" for name in PUBLISHED}
    for board in boards().values():
        assert board.board_parts
        for pattern in board.board_parts:
            vendor, name, kind, version = pattern.split(":")
            assert vendor and name and (kind, version) == ("part0", "*")


def test_unknown_board_lists_the_known_ones() -> None:
    with pytest.raises(MuxflowError, match=r"board 'pynq-z3' is not known; supported are .*pynq-z2.*my_board\.py"):
        find_board("pynq-z3")


def test_a_board_of_ones_own_is_one_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    board = find_board(str(file))
    assert (board.name, board.device.bram18, board.clock_mhz) == ("mine", 120, 50.0)
    assert (board.family, board.board_parts, board.ps_clock_mhz) == ("zynq-7000", (), 33.333333)
    assert "mine" not in boards()


def test_what_a_board_file_prints_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"print('hello')\n{OWN}")
    find_board(str(file))
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name", "cannot be run .*nothing_of_this_name"),
        ("x = 1", "defines 0 subclasses"),
        (OWN + "\n\nclass Other(Mine):\n    name = 'other'\n", "defines 2 subclasses"),
        (OWN.replace("    clock_mhz = 50.0\n", ""), "Mine lacks clock_mhz"),
        (OWN.replace("clock_mhz = 50.0", "clock_mhz = float('nan')"), "a clock of nan MHz"),
        (OWN.replace("clock_mhz = 50.0", "clock_mhz = 'fast'"), "a clock of 'fast' MHz"),
        (OWN.replace("clock_mhz = 50.0", "clock_mhz = 50.0; device = 7"), "device is 7; expected a Device"),
        (OWN.replace("clock_mhz = 50.0", "clock_mhz = 50.0; board_parts = 'x'"), "board_parts is 'x'"),
        (
            OWN.replace("clock_mhz = 50.0", "clock_mhz = 50.0; board_parts = ('*zed*',)"),
            ".*zed.*a pattern is vendor:board:part0:",
        ),
        (
            "from muxflow.dataflow.fit.device import Device\nDevice('x', 'many', 1, 1, 1)",
            "cannot be run .*lut is 'many'",
        ),
        ("from muxflow.dataflow.fit.device import Device\nDevice('x', -1, 1, 1, 1)", "cannot be run .*lut is -1"),
        ("import sys\nsys.exit(3)", "cannot be run .*SystemExit: 3"),
    ],
)
def test_a_wrong_board_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(text)
    with pytest.raises(MuxflowError, match=rf"wrong\.py: {message}"):
        find_board(str(file))


def test_a_missing_board_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MuxflowError, match="no such file"):
        find_board(str(tmp_path / "none.py"))
