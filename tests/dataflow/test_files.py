"""Folders that appear whole or not at all."""

from pathlib import Path

import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import whole_folder


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path):
    target = tmp_path / "deep" / "project"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    (target / "built").mkdir()
    (target / "built" / "b").write_text("2")
    with whole_folder(target, keep=("built", "absent")) as folder:
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
