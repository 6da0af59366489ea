"""Folders that appear whole or not at all."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from muxflow.dataflow import folders
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.folders import check_former, check_replaceable, held_folder, scratch_folder, whole_folder
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.dataflow.manifest import MANIFEST, check_sources, files_below, read_manifest


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


@pytest.fixture
def permissions_after(tmp_path):
    """Write a file, a folder and a file in it under a mask; gives the permissions of each."""

    def write(mask):
        before = os.umask(mask)
        try:
            write_atomically(tmp_path / "file", b"1")
            with whole_folder(tmp_path / "folder") as folder:
                (folder / "inside").write_text("1")
            assert os.umask(mask) == mask, "it is as it was"
        finally:
            os.umask(before)
        return [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder", "folder/inside")]

    return write


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775), (0, 0o666, 0o777)]
)
def test_what_is_new_has_the_permissions_that_the_umask_leaves(permissions_after, mask, file, folder):
    assert permissions_after(mask) == [file, folder, file]


def test_what_is_replaced_keeps_its_permissions(tmp_path, permissions_after):
    permissions_after(0o022)
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "folder").chmod(0o2770)
    tmp_path.chmod(0o2755)  # what is made in it is of its group
    assert permissions_after(0o077) == [0o640, 0o2770, 0o600]


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
        if to == target and not self.name.endswith(".replaced"):
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
    assert set(read_manifest(target).files) == {"src/top.cpp", "src/tables/old.hpp", "run.tcl"}
    for name in ("notes.txt", "src/mine.cpp", "src/tables/deep/mine.hpp", "deploy/system.bit", "report/report.html"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("mine")
    (target / "linked").symlink_to("notes.txt")
    (target / "dangling").symlink_to("nowhere")
    with whole_folder(target, "net") as folder:
        (folder / "src").mkdir()
        (folder / "src" / "top.cpp").write_text("second")
    mine = ["deploy/system.bit", "report/report.html", "src/mine.cpp", "src/tables/deep/mine.hpp"]
    assert listing(target) == sorted(["linked", "notes.txt", "src/top.cpp", *mine])
    assert (target / "dangling").is_symlink()
    assert (target / "notes.txt").read_text() == "mine"
    assert {(target / name).read_text() for name in mine} == {"mine"}
    assert set(read_manifest(target).files) == {"src/top.cpp"}


@pytest.mark.parametrize("name", ["mine", "deploy/accelerator.bit", "deploy", "mine/below", "dangling"])
def test_where_the_new_one_has_a_file_in_the_place_of_one_of_the_user_all_is_as_it_was(tmp_path, name):
    project_of_a_user(tmp_path / "p")
    (tmp_path / "p" / "dangling").symlink_to("nowhere")

    def fill():
        with whole_folder(tmp_path / "p") as folder:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("the new one's")

    with pytest.raises(MuxflowError, match=rf"p: your {name.partition('/below')[0]} stands where the project has one"):
        fill()
    assert listing(tmp_path) == REBUILT and (tmp_path / "p" / "mine").read_text() == "mine"
    with whole_folder(tmp_path / "p") as folder:
        (folder / "mine").write_text("mine")
    assert set(read_manifest(tmp_path / "p").files) == {"mine"}, "the same"


@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"network": "n"}', '{"files": 3, "network": "n"}', '{"files": [], "network": 5}']
)
def test_a_folder_without_a_manifest_keeps_what_the_new_one_has_not(tmp_path, text):
    target = tmp_path / "project"
    with whole_folder(target) as folder:
        (folder / "a").write_text("1")
        (folder / "b").write_text("1")
    (target / MANIFEST).unlink() if text is None else (target / MANIFEST).write_text(text)
    assert read_manifest(target) is None
    if text is None:
        check_former(target, "any")
    else:
        with pytest.raises(MuxflowError, match=r"project/\.muxflow\.json cannot be read, which says .*--force"):
            check_former(target, "any")
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
    check_former(tmp_path / "p", "lenet")
    check_former(tmp_path / "absent", "lenet")
    with pytest.raises(MuxflowError, match=r"holds the project of lenet, and this is vgg; .*--force"):
        check_former(tmp_path / "p", "vgg")


def project_of_a_user(target):
    with whole_folder(target) as folder:
        (folder / "ours").write_text("1")
    for name in ("mine", "deploy/accelerator.bit"):
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text("mine")


def rebuild(target):
    with whole_folder(target) as folder:
        (folder / "ours").write_text("2")


REBUILT = ["p/deploy/accelerator.bit", "p/mine", "p/ours"]


def test_a_signal_amid_the_replacement_waits_for_its_end(tmp_path, monkeypatch):
    project_of_a_user(tmp_path / "p")
    for name in ("rename", "rmdir"):
        real = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *given, real=real: (signal.raise_signal(signal.SIGINT), real(*given))[1])
    with pytest.raises(KeyboardInterrupt):
        rebuild(tmp_path / "p")
    assert listing(tmp_path) == REBUILT and (tmp_path / "p" / "ours").read_text() == "2"


@pytest.mark.parametrize("moved", range(5))
def test_what_a_killed_replacement_left_is_put_back(tmp_path, monkeypatch, moved):
    """Killed after so many renames, as by a power cut: the next build takes it to its end."""
    project_of_a_user(tmp_path / "p")
    program = (
        "import os, sys; from pathlib import Path; from muxflow.dataflow.folders import whole_folder\n"
        "real, left = Path.rename, [int(sys.argv[1])]\n"
        "def rename(*given):\n"
        "    left[0] -= 1\n"
        "    return real(*given) if left[0] >= 0 else os._exit(9)\n"
        "Path.rename = rename\n"
        "with whole_folder(Path(sys.argv[2])) as folder: (folder / 'ours').write_text('2')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(moved), str(tmp_path / "p")], check=False)
    assert done.returncode == (9 if moved < 4 else 0)
    rebuild(tmp_path / "p")
    assert [name for name in listing(tmp_path) if name.startswith("p/")] == REBUILT
    assert not list(tmp_path.glob("*.replaced"))


@pytest.mark.parametrize("refused", ["deploy", "mine"])
def test_where_something_of_the_user_cannot_be_moved_all_is_as_it_was(tmp_path, monkeypatch, refused):
    """As where another user owns it: the first entry has moved before the second is refused."""
    project_of_a_user(tmp_path / "p")
    rename = Path.rename

    def refusing(self, to):
        if self.name == refused and self.parent.name.endswith(".replaced"):
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(MuxflowError, match=rf"/p: your {refused} cannot be moved .*\(Permission denied\); make it"):
        rebuild(tmp_path / "p")
    assert listing(tmp_path) == REBUILT and (tmp_path / "p" / "ours").read_text() == "1"


def test_a_read_only_folder_is_not_replaced(tmp_path, monkeypatch):
    with whole_folder(tmp_path / "p") as folder:
        (folder / "sub" / "below").mkdir(parents=True)
        (folder / "sub" / "below" / "ours").write_text("1")
    check_replaceable(tmp_path / "p", "sub", "a project")
    for closed in ("p", "p/sub", "p/sub/below"):
        monkeypatch.setattr(os, "access", lambda path, _mode, closed=closed: Path(path) != tmp_path / closed)
        with pytest.raises(
            MuxflowError,
            match=rf"{closed} is read-only or closed to you, so that nothing takes its place; change its mode",
        ):
            check_replaceable(tmp_path / "p", "sub", "a project")


def test_processes_that_replace_one_folder_lose_nothing(tmp_path):
    project_of_a_user(tmp_path / "p")
    program = (
        "import sys; from pathlib import Path; from muxflow.dataflow.folders import whole_folder\n"
        "for number in range(30):\n"
        "    with whole_folder(Path(sys.argv[1])) as folder: (folder / 'ours').write_text(str(number))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "p")]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert listing(tmp_path) == REBUILT


def test_a_scratch_folder_goes_though_signals_come(tmp_path, monkeypatch):
    real = os.rmdir
    monkeypatch.setattr(
        os, "rmdir", lambda *given, **named: (signal.raise_signal(signal.SIGINT), real(*given, **named))
    )

    def interrupted():
        with scratch_folder(tmp_path) as folder:
            (folder / "part").write_text("1")
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_place_for_temporary_files_below_the_current_folder(monkeypatch, tmp_path):
    """Tools run in folders of their own, in which a relative path is another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", ".")
    with scratch_folder() as folder:
        assert folder.is_absolute() and folder.parent == tmp_path


def test_no_place_for_temporary_files_is_said(monkeypatch):
    def nowhere(**_given):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(folders.tempfile, "mkdtemp", nowhere)
    with (
        pytest.raises(MuxflowError, match=r"no place for temporary files .*; set TMPDIR to a folder"),
        scratch_folder(),
    ):
        pass


def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(MuxflowError, match="loop is a link that leads back to itself"):
        check_replaceable(tmp_path / "loop", "marker", "a project")
    with pytest.raises(MuxflowError, match="loop: cannot be written"):
        rebuild(tmp_path / "loop")


def test_a_held_folder_removes_what_killed_processes_left_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / ".run.link").symlink_to(outside)
    (parent / ".run.file").write_text("the user's")
    (parent / ".other.left").mkdir()
    (parent / ".run.settings.mine").mkdir()
    (parent / ".run.left_123" / "0").mkdir(parents=True)
    with held_folder(parent, ".run.") as living:
        assert not (parent / ".run.left_123").exists()
        with held_folder(parent, ".run.") as other:
            assert living.is_dir() and other.is_dir() and living != other
    assert sorted(one.name for one in parent.iterdir()) == [
        ".other.left",
        ".run.file",
        ".run.link",
        ".run.settings.mine",
    ]
    assert outside.is_dir()


def test_what_a_tool_would_wait_for_or_never_end_with_is_refused(tmp_path):
    target = tmp_path / "project"
    with whole_folder(target) as folder:
        (folder / "src").mkdir()
        for name in ("src/a", "src/b", "main", "other"):
            (folder / name).write_text("1")
    own = target / "src" / "own"
    check_sources(target, "src", "main", "absent")
    for file, said in ((own, "a device or a pipe"), (target / "src" / "a", "is gone"), (target / "main", "is gone")):
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        with pytest.raises(MuxflowError, match=f"{file}.*{said}.*build the project again"):
            check_sources(target, "src", "main")
        file.unlink()
        file.write_text("1")
    with own.open("r+b") as opened:
        opened.truncate(MOST_BYTES)
    with pytest.raises(MuxflowError, match=r"own: 2,147,483,650 bytes.*MOST_BYTES"):
        check_sources(target, "src")
    own.unlink()
    own.symlink_to(own.name)
    (target / "other").unlink()
    check_sources(target, "src", "main")


def test_a_link_to_what_has_no_end_is_refused(tmp_path, monkeypatch):
    target = tmp_path / "project"
    with whole_folder(target) as folder:
        (folder / "src" / "tables").mkdir(parents=True)
        (folder / "src" / "a").write_text("1")
    loop = target / "src" / "loop"
    for holds in ("/", "..", "."):
        loop.symlink_to(holds)
        if holds == ".":
            assert files_below(target / "src") == [target / "src" / "a"]
        else:
            with pytest.raises(
                MuxflowError, match=rf"^{loop} is a link to /.*, which holds {target / 'src'}; remove it"
            ):
                check_sources(target, "src")
        loop.unlink()
    loop.symlink_to("tables")
    for number in range(4):
        (target / "src" / "tables" / str(number)).touch()
    assert len(files_below(target / "src")) == 5
    monkeypatch.setattr("muxflow.dataflow.manifest.MOST_FILES", 4)
    with pytest.raises(MuxflowError, match=r"src: more than 4 files \(MOST_FILES\), those in .*/src/loop among them"):
        check_sources(target, "src")


def killed(target: Path, at: str) -> None:
    """Replace a folder in a process that is killed: as it fills the new one, or once the old one is aside."""
    program = (
        "import os, sys; from pathlib import Path; from muxflow.dataflow.folders import whole_folder\n"
        "real = Path.rename\n"
        "Path.rename = lambda *given: (real(*given), os._exit(9))\n"
        "with whole_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'ours').write_text('2')\n"
        "    os._exit(9) if sys.argv[2] == 'filled' else None\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target), at], check=False)
    assert done.returncode == 9


def test_what_a_killed_replacement_of_another_folder_left_is_not_taken(tmp_path: Path) -> None:
    """The other's name begins with that of this one and a dot."""
    for name in ("p", "p.v2"):
        project_of_a_user(tmp_path / name)
    killed(tmp_path / "p.v2", "aside")
    assert not (tmp_path / "p.v2").exists()
    rebuild(tmp_path / "p")
    rebuild(tmp_path / "p.v2")
    assert listing(tmp_path) == sorted([*REBUILT, *(name.replace("p/", "p.v2/", 1) for name in REBUILT)])


def test_a_name_as_long_as_any_is_replaced_too(tmp_path: Path) -> None:
    """Of two that begin alike each is put back in its own place, whichever was killed."""
    first, second = (f"{'p' * 254}{end}" for end in "12")
    for name in (first, second):
        project_of_a_user(tmp_path / name)
    killed(tmp_path / first, "aside")
    assert not (tmp_path / first).exists()
    for name in (second, first):
        rebuild(tmp_path / name)
    assert listing(tmp_path) == sorted(name.replace("p/", f"{one}/", 1) for one in (first, second) for name in REBUILT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [first, second]


def test_what_a_killed_process_had_filled_is_removed_and_nothing_else(tmp_path: Path) -> None:
    project_of_a_user(tmp_path / "p")
    theirs = [".p.settings", ".p.muxflow-mine", ".p.v2.muxflow-abcdefgh", ".p.muxflow-filehere"]
    for name in theirs[:-1]:
        (tmp_path / name).mkdir()
    (tmp_path / theirs[-1]).write_text("a file")
    killed(tmp_path / "p", "filled")
    killed(tmp_path / "p", "aside")
    assert len(list(tmp_path.iterdir())) > len(theirs)
    with whole_folder(tmp_path / "p") as living:
        rebuild(tmp_path / "p")
        (living / "ours").write_text("3")
    assert {path.name for path in tmp_path.iterdir()} == {"p", *theirs}
    assert [name for name in listing(tmp_path) if name.startswith("p/")] == REBUILT
