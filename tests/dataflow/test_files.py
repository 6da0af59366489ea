"""Files are written whole or not at all, and read within limits."""

import os
from pathlib import Path

import pytest

from muxflow.dataflow import files
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import (
    naming,
    read_bounded,
    read_json,
    read_lines,
    read_toml,
    write_atomically,
    write_together,
)
from muxflow.dataflow.limits import MOST_DEPTH


def test_json_of_more_tables_than_any_is_not_parsed(tmp_path, monkeypatch):
    """A list of three bytes takes a hundred in memory."""
    file = tmp_path / "many.json"
    file.write_text("[[],[],{}]")
    assert read_json(file) == [[], [], {}]
    monkeypatch.setattr(files, "MOST_TABLES", 3)
    with pytest.raises(ValueError, match=r"more than 3 lists and tables \(MOST_TABLES\)"):
        read_json(file)


def test_texts_are_not_read_without_end(tmp_path, monkeypatch):
    (tmp_path / "zeros").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    for name in ("zeros", "pipe"):
        with pytest.raises(ValueError, match="it is no file"):
            read_bounded(tmp_path / name)
    monkeypatch.setattr(files, "MOST_TEXT", 3)
    (tmp_path / "text").write_text("\u00e91")
    assert read_bounded(tmp_path / "text") == "\u00e91"
    (tmp_path / "text").write_text("1234")
    with pytest.raises(ValueError, match=r"more than 3 bytes \(MOST_TEXT\)"):
        read_bounded(tmp_path / "text")


@pytest.mark.parametrize(("read", "begin"), [(read_json, ""), (read_toml, "a = ")])
def test_tables_are_nested_a_hundred_deep_at_most(tmp_path, read, begin):
    file = tmp_path / "deep"
    within = MOST_DEPTH - len(begin.split("=")[1:])  # a file of TOML is a table itself
    for depth in (within, within + 1, *range(900, 1000), 100_000):
        file.write_text(begin + depth * "[\n" + depth * "]\n")
        if depth <= within:
            read(file)
            continue
        with pytest.raises(ValueError, match="its tables are nested too deep"):
            read(file)


def test_the_system_names_what_cannot_be_read(tmp_path):
    """A disk that fails amid a file names none."""
    for error in (OSError(5, "Input/output error"), OSError(5, "Input/output error", "other")):
        with pytest.raises(OSError, match="Input/output error") as met, naming(tmp_path / "file"):
            raise error
        assert met.value.filename == (error.filename or str(tmp_path / "file"))


def test_lines_of_any_number_and_length_come_in_pieces(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="it is no file"):
        list(read_lines(tmp_path / "pipe"))
    monkeypatch.setattr(files, "MOST_TEXT", 3)
    monkeypatch.setattr(files, "MOST_LINE", 4)
    (tmp_path / "text").write_bytes(b"123\r\n\n\xff\n123456\nend")
    assert list(read_lines(tmp_path / "text")) == ["123", "", "", "\ufffd", "1234", "56", "end"]


def test_a_file_behind_a_link_and_a_device_are_written_to(tmp_path):
    """A link stays one; a device stays one, whoever writes."""
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/file")
    write_atomically(tmp_path / "link", b"1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "far" / "file").read_bytes() == b"1"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", b"2")
    assert os.read(reader, 9) == b"2" and (tmp_path / "pipe").is_fifo()
    os.close(reader)
    with pytest.raises(MuxflowError, match="pipe: cannot be written"):
        write_atomically(tmp_path / "pipe", b"nobody reads it")
    with pytest.raises(MuxflowError, match="/dev/full: cannot be written"):
        write_atomically(Path("/dev/full"), b"3")
    assert Path("/dev/full").is_char_device()


def test_a_link_that_is_not_followed_is_replaced(tmp_path):
    (tmp_path / "theirs").write_bytes(b"0")
    for name, to in (("link", "theirs"), ("dangling", "nowhere"), ("device", "/dev/null")):
        (tmp_path / name).symlink_to(to)
    links = [tmp_path / name for name in ("link", "dangling", "device")]
    write_together(dict.fromkeys(links, b"1"), follow=False)
    assert all(link.read_bytes() == b"1" and not link.is_symlink() for link in links)
    assert (tmp_path / "theirs").read_bytes() == b"0" and not (tmp_path / "nowhere").exists()


def test_of_several_files_all_are_written_or_none(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    real = os.fdopen
    left = [2]

    def full(*given, **options):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(*given, **options)

    monkeypatch.setattr(files.os, "fdopen", full)
    with pytest.raises(MuxflowError, match=r"b/deep/c: cannot be written \(No space left"):
        write_together(dict.fromkeys([tmp_path / "a", tmp_path / "new", tmp_path / "b" / "deep" / "c"], b"1"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_toml_key_of_many_dots_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    """The time that the standard library takes for it grows with the square: ten seconds for 100 KB."""
    file = tmp_path / "dots.toml"
    file.write_text("a" + ".a" * 50_000 + " = 1")
    with pytest.raises(ValueError, match=r"a line of more than 4,096 bytes \(MOST_TOML_LINE\)"):
        read_toml(file)
    file.write_text("a" + ".a" * 2_000 + " = 1")
    with pytest.raises(ValueError, match="nested too deep"):
        read_toml(file)
