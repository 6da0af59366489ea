"""Folders that cannot be renamed, as those of a lower layer of an overlay: what came with the image of a container."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.folders import whole_folder


@pytest.fixture
def layered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with files of a user's, in a folder that keeps its place until it is removed."""
    path = tmp_path / "project"
    write(path, "old")
    (path / "src" / "mine.txt").write_text("mine")
    (path / "deploy").mkdir()
    (path / "deploy" / "design.bit").write_bytes(b"bits")
    (path / "link").symlink_to("src/mine.txt")
    lower, rename = path.stat().st_ino, Path.rename

    def layered_rename(self: Path, target: Path) -> Path:
        if self.stat().st_ino == lower:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", layered_rename)
    return path


def write(path: Path, text: str) -> None:
    with whole_folder(path) as new:
        (new / "src").mkdir()
        (new / "src" / "top.cpp").write_text(text)


def held(path: Path) -> dict[str, bytes]:
    assert (path / ".muxflow.json").is_file()
    files = (file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".muxflow.json")
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


MINE = {"deploy/design.bit": b"bits", "link": b"mine", "src/mine.txt": b"mine"}


def test_the_new_one_takes_its_place_with_what_is_the_users(layered: Path) -> None:
    write(layered, "new")
    assert held(layered) == {**MINE, "src/top.cpp": b"new"}
    assert (layered / "link").is_symlink()
    assert [one.name for one in layered.parent.iterdir()] == ["project"]


@pytest.mark.parametrize("step", ["copytree", "rmtree"])
def test_where_that_fails_all_is_as_it_was(layered: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    real: Any = getattr(shutil, step)
    failures = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))]

    def failing(path: Path, *rest: Any, **options: Any) -> None:
        if Path(path) == layered and failures:
            if step == "rmtree":
                (layered / "src" / "top.cpp").unlink()
                (layered / ".muxflow.json").unlink()
            raise failures.pop()
        real(path, *rest, **options)

    monkeypatch.setattr(shutil, step, failing)
    with pytest.raises(MuxflowError, match=r"project: cannot be written \(No space left"):
        write(layered, "new")
    assert held(layered) == {**MINE, "src/top.cpp": b"old"}
    assert [one.name for one in layered.parent.iterdir()] == ["project"]


@pytest.mark.parametrize(("number", "remedy"), [(errno.EBUSY, "unmount it"), (errno.EACCES, "make it and its folder")])
def test_what_cannot_be_moved_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    """As a folder of the user's in which something is mounted; all is as it was."""
    path, rename = tmp_path / "project", Path.rename
    write(path, "old")
    (path / "mounted").mkdir()

    def failing(self: Path, target: Path) -> Path:
        if self.name == "mounted":
            raise OSError(number, os.strerror(number), str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(MuxflowError, match=rf"your mounted cannot be moved .*; {remedy}.*, or choose another folder"):
        write(path, "new")
    assert held(path) == {"src/top.cpp": b"old"} and (path / "mounted").is_dir()
