"""Folders that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from muxflow.dataflow import files
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import MANIFEST, check_network, check_replaceable, read_bounded, read_manifest, whole_folder


def listing(folder):
    """Every file but the manifests."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if path.name != MANIFEST)


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "deep" / "project"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    (target / "built").mkdir()
    (target / "built" / "b").write_text("2")
    with whole_folder(target) as folder:
        (folder / "c").write_text("3")
        assert listing(target) == ["a", "built/b"]
    assert listing(target) == ["built/b", "c"]
    assert list(target.parent.iterdir()) == [target], "nothing is left beside it"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), OSError(28, "No space left on device")])
def test_whatever_goes_wrong_the_old_one_stays(tmp_path, error):
    target = tmp_path / "project"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
    expected = MuxflowError if isinstance(error, OSError) else type(error)

    def fill():
        with whole_folder(target) as folder:
            (folder / "b").write_text("2")
            raise error

    with pytest.raises(expected):
        fill()
    assert listing(tmp_path) == ["project/a"]


def test_the_last_rename_that_fails_puts_the_old_one_back(tmp_path, monkeypatch):
    target = tmp_path / "project"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
    rename = Path.rename

    def failing(self, to):
        if to == target and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with (
        pytest.raises(MuxflowError, match=r"project: cannot be written \(No space left"),
        whole_folder(target) as folder,
    ):
        (folder / "b").write_text("2")
    assert listing(tmp_path) == ["project/a"]


def test_what_muxflow_did_not_write_stays(tmp_path):
    target = tmp_path / "project"
    with whole_folder(target, "net") as folder:
        (folder / "src" / "tables").mkdir(parents=True)
        for name in ("src/top.cpp", "src/tables/old.hpp", "run.tcl"):
            (folder / name).write_text("first")
    assert read_manifest(target).files == {"src/top.cpp", "src/tables/old.hpp", "run.tcl"}
    for name in ("notes.txt", "src/mine.cpp", "src/tables/deep/mine.hpp", "deploy/system.bit", "report/report.html"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("mine")
    (target / "linked").symlink_to("notes.txt")
    (target / "dangling").symlink_to("nowhere")
    with whole_folder(target, "net") as folder:
        (folder / "src").mkdir()
        (folder / "src" / "top.cpp").write_text("second")
        (folder / "notes.txt").write_text("the new one's")
    mine = ["deploy/system.bit", "report/report.html", "src/mine.cpp", "src/tables/deep/mine.hpp"]
    assert listing(target) == sorted(["linked", "notes.txt", "src/top.cpp", *mine])
    assert (target / "dangling").is_symlink()
    assert (target / "notes.txt").read_text() == "the new one's"
    assert {(target / name).read_text() for name in mine} == {"mine"}
    assert read_manifest(target).files == {"src/top.cpp", "notes.txt"}


@pytest.mark.parametrize("text", [None, "", "[]", '{"network": "n"}', '{"files": 3, "network": "n"}'])
def test_a_folder_without_a_manifest_keeps_what_the_new_one_has_not(tmp_path, text):
    target = tmp_path / "project"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
        (folder / "b").write_text("1")
    (target / MANIFEST).unlink() if text is None else (target / MANIFEST).write_text(text)
    assert read_manifest(target) is None
    check_network(target, "any")
    with whole_folder(target) as folder:
        (folder / "b").write_text("2")
    assert [(target / name).read_text() for name in listing(target)] == ["1", "2"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    check_replaceable(tmp_path / "link", "a", "a project")
    for text in ("1", "2"):
        with whole_folder(tmp_path / "link") as folder:
            (folder / "a").write_text(text)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "2"


def test_another_network_is_named(tmp_path):
    with whole_folder(tmp_path / "p", "lenet") as folder:
        (folder / "a").write_text("1")
    check_network(tmp_path / "p", "lenet")
    check_network(tmp_path / "absent", "lenet")
    with pytest.raises(MuxflowError, match=r"holds the project of lenet, and this is vgg; .*--force"):
        check_network(tmp_path / "p", "vgg")


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
