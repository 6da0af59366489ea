"""What commands write into folders: through no link in a project, and over nobody else's file."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from muxflow import api
from muxflow.board.bitstream.stages import make_bitstream
from muxflow.board.board import find_board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.folders import check_writable
from muxflow.dataflow.manifest import PROOF_FILE
from muxflow.dataflow.outputs import WRITTEN, OutputFolder, write_below
from muxflow.hls.vitis.csim import compile_csim
from muxflow.proof.ladder import Ladder, keep_ladder

Call = Callable[..., tuple[int, str, str]]
PRETRAINED = Path(__file__).parents[3] / "frontend" / "training" / "pretrained" / "mognet_digits.onnx"


@pytest.fixture
def project(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the current folder, which holds something of the user's, `theirs`, too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / ".bashrc").write_text("theirs")
    made = shutil.ignore_patterns("report", "csim", "bitstream", "deploy", PROOF_FILE)  # by other tests
    return Path(shutil.copytree(workplace / "untouched", tmp_path / "mine", ignore=made))


@pytest.fixture
def muxflow(call_muxflow: Call) -> Call:
    """`muxflow(*arguments)`: exit code, output, the error on one line."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code, said, error = call_muxflow(*arguments)
        return code, said, " ".join(error.split())

    return call


def theirs() -> dict[str, str]:
    return {path.name: path.read_text() for path in Path("theirs").iterdir()}


def test_a_file_of_a_project_takes_the_place_of_a_link(muxflow: Call, project: Path) -> None:
    (project / "report").mkdir()
    for link in (project / "report" / "report.csv", project / PROOF_FILE):
        link.symlink_to("../../theirs/.bashrc" if link.parent != project else "../theirs/.bashrc")
    keep_ladder(project, "0", "", Ladder())
    assert muxflow("report", "mine", "--format", "csv,txt")[0] == 0
    assert theirs() == {".bashrc": "theirs"}
    for name in ("report/report.csv", PROOF_FILE):
        assert (project / name).is_file() and not (project / name).is_symlink()


def test_a_folder_of_a_project_that_is_a_link_is_refused(muxflow: Call, project: Path) -> None:
    opened = api.open_project(project).hls

    def refused(name: str, command: Callable[[], object]) -> None:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).symlink_to(project.parent / "theirs")
        with pytest.raises(MuxflowError, match=rf"{name} is a link to .*theirs, and links .* not followed; remove it"):
            command()
        (project / name).unlink()

    def report(*options: str) -> None:
        code, _, error = muxflow("report", "mine", *options)
        assert code == 1
        raise MuxflowError(error)

    refused("report", report)
    refused("report/latex", lambda: report("--latex"))
    refused("csim", lambda: compile_csim(opened))
    for name in ("bitstream", "deploy"):
        refused(name, lambda: make_bitstream(opened, find_board("pynq-z2")))
    assert theirs() == {".bashrc": "theirs"}


def test_a_file_in_the_place_of_a_folder_of_a_project_is_refused(muxflow: Call, project: Path) -> None:
    opened = api.open_project(project).hls
    for name in ("csim", "report"):
        (project / name).write_text("mine")
    with pytest.raises(MuxflowError, match=r"csim is no folder, .*; remove it, or move it away"):
        compile_csim(opened)
    code, _, error = muxflow("report", "mine")
    assert code == 1 and "report is no folder" in error
    assert [(project / name).read_text() for name in ("csim", "report")] == ["mine", "mine"]


def test_a_link_that_a_user_names_is_followed(muxflow: Call, project: Path) -> None:
    Path("linked").symlink_to("mine")
    Path("away").mkdir()
    Path("named").symlink_to("away")
    assert muxflow("report", "linked", "--format", "csv")[0] == 0
    assert muxflow("report", "linked", "--format", "csv", "--output", "named")[0] == 0
    assert (project / "report" / "report.csv").read_bytes() == Path("away/report.csv").read_bytes()
    assert Path("named").is_symlink()
    write_below(Path("named/"), {"a/b": b"1"})
    assert Path("away/a/b").read_bytes() == b"1"


def test_nobody_elses_file_is_replaced(muxflow: Call, project: Path) -> None:
    """In a folder that a user names: one that Muxflow did not write there, or that was changed since."""
    options = ("report", "mine", "--format", "tex,md", "--latex", "--output", "paper")
    assert muxflow(*options)[0] == 0
    assert muxflow(*options)[0] == 0, "its own are replaced"
    for name in ("report.tex", "report.md", "latex/references.bib", "latex/accuracy.tex"):
        file = Path("paper") / name
        whole = file.read_text()
        file.write_text("my own")
        code, _, error = muxflow(*options)
        assert code == 1 and f"paper/{name} is not as Muxflow wrote it there" in error and "--force" in error
        assert file.read_text() == "my own"
        assert muxflow(*options, "--force")[0] == 0
        assert file.read_text() == whole
    Path("paper", WRITTEN).write_text("[]")
    code, _, error = muxflow(*options)
    assert code == 1 and f"paper/{WRITTEN} cannot be read" in error
    assert muxflow(*options, "--force")[0] == 0 and muxflow(*options)[0] == 0
    Path("report.csv").symlink_to("theirs/.bashrc")
    Path("compare.txt").write_text("my own")
    for command in (("report", "mine", "-f", "csv,txt"), ("compare", "mine", "mine", "-f", "txt,md")):
        code, _, error = muxflow(*command, "--output", ".")
        assert code == 1 and "is not as Muxflow wrote it there" in error
    assert not Path("report.txt").exists() and not Path("compare.md").exists()
    assert Path("compare.txt").read_text() == "my own" and theirs() == {".bashrc": "theirs"}


def test_a_list_of_yesterdays_form_and_one_that_is_a_folder(muxflow: Call, project: Path) -> None:
    options = ("report", "mine", "--format", "md", "--output", "paper")
    assert muxflow(*options)[0] == 0
    kept = Path("paper", WRITTEN)
    kept.write_text(json.dumps({"files": json.loads(kept.read_text())["files"]}))
    assert muxflow(*options)[0] == 0
    with pytest.raises(MuxflowError, match=r"paper/report\.md is one of the files that Muxflow wrote into"):
        check_writable(Path("paper/report.md"))
    kept.unlink()
    kept.mkdir()
    code, _, error = muxflow(*options, "--force")
    assert code == 1 and f"{kept} is a folder" in error


def test_a_link_to_what_is_not_there_yet_and_one_to_itself(muxflow: Call, project: Path) -> None:
    Path("later").symlink_to("away/deep")
    Path("loop").symlink_to("loop")
    assert muxflow("report", "mine", "--format", "md", "--output", "later")[0] == 0
    assert Path("away/deep/report.md").is_file() and Path("later").is_symlink()
    code, _, error = muxflow("report", "mine", "--format", "md", "--output", "loop")
    assert code == 1 and "loop" in error and "leads back to itself; remove it" in error


def test_a_pipe_is_written_to_and_its_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `-o /dev/stdout` and `-o >(command)`, of users who may write nothing in the folder."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name == "pipe")
    check_writable(tmp_path / "pipe")
    monkeypatch.setattr(os, "access", lambda *_: False)
    for name, why in (("pipe", "Permission denied"), ("file", f"{tmp_path} is read-only")):
        with pytest.raises(MuxflowError, match=rf"{name}: cannot be written \({why}\)"):
            check_writable(tmp_path / name)


def test_the_report_of_a_project_that_is_a_link_is_a_users_folder(muxflow: Call, project: Path) -> None:
    (project / "report").symlink_to(project.parent / "theirs")
    Path("theirs/report.md").write_text("my own")
    for output in ("mine/report", "theirs"):
        code, _, error = muxflow("report", "mine", "-f", "md", "--output", output)
        assert code == 1 and "is not as Muxflow wrote it there" in error
    assert theirs()["report.md"] == "my own"


def test_what_stands_there_and_is_no_file_is_named(muxflow: Call, project: Path) -> None:
    Path("paper").mkdir()
    os.mkfifo("paper/report.md")
    Path("paper", WRITTEN).write_text(json.dumps({"files": {"n" * 5000: "0"}, "network": ""}))
    code, _, error = muxflow("report", "mine", "-f", "md", "--output", "paper", "--force")
    assert code == 1 and "paper/report.md is no file; remove it" in error
    os.remove("paper/report.md")
    assert muxflow("report", "mine", "-f", "md", "--figures", "--output", "paper")[0] == 0


def test_an_output_is_no_input(muxflow: Call, project: Path) -> None:
    assert muxflow("report", "mine", "--format", "json", "--output", "r2")[0] == 0
    shutil.copy("r2/report.json", "compare.json")
    Path("kit/latex").mkdir(parents=True)
    Path("kit/latex/prior.toml").write_text('bibliography = "references.bib"\n')
    Path("kit/latex/references.bib").write_text("@book{a, title = {b}}\n")
    before = {path: path.read_bytes() for path in Path().glob("**/*") if path.is_file()}
    for command, file in (
        ("report mine -o r2 -f json --latex --with r2/report.json --force", "r2/report.json"),
        ("compare compare.json mine -o . -f json --force", "compare.json"),
        ("report mine -o kit -f json --latex --prior kit/latex/prior.toml --force", "kit/latex/references.bib"),
    ):
        code, _, error = muxflow(*command.split())
        assert code == 1 and f"{file} is what the command reads" in error, error
    for output in ("mine/src", "mine/src/../include/new"):
        code, _, error = muxflow("report", "mine", "-f", "md", "--output", output)
        assert code == 1 and f"{output} would be among what the command reads" in error, error
    assert before == {path: path.read_bytes() for path in Path().glob("**/*") if path.is_file()}


def test_a_full_disk_leaves_the_old_files_and_no_folder(
    muxflow: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert muxflow("report", "mine", "--format", "json,csv")[0] == 0
    old = {path.name: path.read_bytes() for path in (project / "report").iterdir()}
    real, left = os.fdopen, [2]

    def full(*given: Any, **options: Any) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(*given, **options)

    monkeypatch.setattr(os, "fdopen", full)
    code, _, error = muxflow("report", "mine", "--latex")
    assert code == 1 and "No space left" in error
    assert old == {path.name: path.read_bytes() for path in (project / "report").iterdir()}
    code, _, error = muxflow("compare", "mine", "mine", "--format", "txt", "--output", "cmp")
    assert code == 1 and "No space left" in error and not Path("cmp").exists()


def test_processes_that_write_into_one_folder_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from muxflow.dataflow.outputs import OutputFolder\n"
        "place = OutputFolder(Path('deep/out'))\n"
        "for number in range(20): place.write({f'{sys.argv[1]}/{number}': b'1', sys.argv[1]*2: str(number).encode()})\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, name], cwd=tmp_path) for name in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    listed = json.loads((tmp_path / "deep" / "out" / WRITTEN).read_text())["files"]
    assert sorted(listed) == sorted([*(f"{name}/{number}" for name in "abc" for number in range(20)), "aa", "bb", "cc"])
    assert OutputFolder(tmp_path / "deep" / "out").changed(*listed) == []


def test_where_the_second_look_refuses_no_folder_is_left(tmp_path: Path) -> None:
    def refuse() -> None:
        raise MuxflowError("another was quicker")

    with pytest.raises(MuxflowError, match="another was quicker"):
        OutputFolder(tmp_path / "deep" / "out").write({"a/b": b"1"}, refuse)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_after_a_kill_amid_writing_the_next_writes_without_force(tmp_path: Path, replaced: int) -> None:
    """Nor does it leave what the killed one had filled; what its user calls alike stays."""
    place = OutputFolder(tmp_path / "out")
    place.write({"a": b"1", "b": b"1"})
    (tmp_path / "out" / ".a.original").write_text("theirs")
    (tmp_path / "out" / ".a.muxflow-folders_").mkdir()
    program = (
        "import os, sys; from pathlib import Path; from muxflow.dataflow.outputs import OutputFolder\n"
        "real, left = os.replace, int(sys.argv[1])\n"
        "def replace(*given):\n"
        "    global left\n"
        "    left -= 1\n"
        "    real(*given) if left >= 0 else os._exit(9)\n"
        "os.replace = replace\n"
        "OutputFolder(Path('out')).write({'a': b'2', 'b': b'2'})\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program, str(replaced)], check=False, cwd=tmp_path)
        assert done.returncode == 9
    assert place.changed("a", "b") == []
    place.write({"a": b"3", "b": b"3"})
    assert sorted(path.name for path in place.path.iterdir()) == [
        *(".a.muxflow-folders_", ".a.original", WRITTEN),
        *("a", "b"),
    ]
    assert place.changed("a", "b") == []
    (place.path / "a").write_text("changed")
    assert place.changed("a", "b") == ["a"]


def test_files_of_a_project_are_not_replaced_though_the_command_reads_another(
    muxflow: Call, project: Path, workplace: Path
) -> None:
    """Nor is anything put among its sources, where it counts as an edit, nor in the place of what other commands wrote."""
    shutil.copy(workplace / "small.npz", "net.npz")
    Image.new("L", (8, 8)).save("a.png")
    assert muxflow("report", "mine", "-f", "json", "--output", "out")[0] == 0
    Path("here").symlink_to("mine")
    before = {path: path.read_bytes() for path in Path().glob("**/*") if path.is_file()}
    for command, text in (
        ("fit net.npz -o mine/design.json", "mine/design.json is one of the files that Muxflow wrote into /"),
        ("fit net.npz -o here/src/top.cpp", "here/src/top.cpp is one of the files that Muxflow wrote into /"),
        ("fit net.npz --plot mine/src/new.png", "mine/src/new.png would be among the files that Muxflow wrote into /"),
        ("compress a.png -o mine/.muxflow.json", "mine/.muxflow.json is one of the files that Muxflow wrote into /"),
        ("compress a.png -o out/report.json", "out/report.json is one of the files that Muxflow wrote into /"),
        ("fit net.npz -o mine/proof.json", "mine/proof.json is a place of Muxflow's own in /"),
        ("fit net.npz --plot mine/report/a.png", "report/a.png is a place of Muxflow's own in /"),
        ("compress a.png -o mine/csim/a.eow", "csim/a.eow is a place of Muxflow's own in /"),
        ("decompress a.png -o mine/design.json/x.png", "design.json is no folder"),
        ("build net.npz -o mine/src/new", "mine/src/new would be among the files that Muxflow wrote into /"),
        ("bitstream net.npz -o mine/src/new", "mine/src/new would be among the files that Muxflow wrote into /"),
        ("sweep net.npz -o mine/src", "mine/src would be among the files that Muxflow wrote into /"),
        ("sweep net.npz -o mine/report", "mine/report is a place of Muxflow's own in /"),
        ("train --output mine/src", "mine/src would be among the files that Muxflow wrote into /"),
        ("demo --output mine/src", "would be among the files that Muxflow wrote into /"),
    ):
        code, _, error = muxflow(*command.split())
        assert code == 1 and text in error, (command, error)
    assert before == {path: path.read_bytes() for path in Path().glob("**/*") if path.is_file()}
    for name in ("mine/mine.json", f"{'n' * 250}.json"):  # beside them is the user's place
        assert muxflow("fit", "net.npz", "--fps", "10", "-o", name)[0] == 0


def test_where_no_project_can_come_to_be_is_said_before_the_model_is_read(
    muxflow: Call, project: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(workplace / "small.npz", "net.npz")
    for name in ("mount", "a bind mount"):
        Path(name).mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == Path("mount").resolve())
    Path("mounts").write_text(f"36 35 98:0 /src {Path.cwd()}/a\\040bind\\040mount rw - ext4 /dev/root rw\n")
    monkeypatch.setattr("muxflow.dataflow.folders.MOUNTS", Path("mounts").resolve())
    monkeypatch.setattr("muxflow.load", lambda *_, **__: pytest.fail("it reads the model"))
    for command in ("build", "build --target hls4ml", "build --target finn", "bitstream"):
        for folder, text in (
            ("mount", "mount is a mount point, which a new folder cannot replace; choose another folder"),
            ("a bind mount", "a bind mount is a mount point, which a new folder cannot replace; choose another folder"),
            ("net.npz/x", "net.npz/x: cannot be written (/"),
            ("net.npz", "net.npz exists and is not "),
        ):
            code, _, error = muxflow(*command.split(), "net.npz", "-o", folder)
            assert code == 1 and text in error, (command, error)


def test_what_muxflow_wrote_is_listed(muxflow: Call, project: Path) -> None:
    assert muxflow("report", "mine", "--format", "csv", "--output", "out")[0] == 0
    assert muxflow("compare", "mine", "mine", "--format", "txt", "--output", "out")[0] == 0
    assert list(json.loads(Path("out", WRITTEN).read_text())["files"]) == ["compare.txt", "report.csv"]


def test_a_model_of_the_users_in_a_project_is_not_replaced(muxflow: Call, project: Path, workplace: Path) -> None:
    """That project was built from a graph, of which it keeps no model."""
    (project / "model.onnx").write_bytes(b"my own")
    shutil.copy(PRETRAINED, "digits.onnx")
    code, _, error = muxflow("build", "digits.onnx", "--fps", "10", "--output", "mine", "--force")
    assert code == 1 and "mine: your model.onnx stands where the project has one of its own; move it away" in error
    assert (project / "model.onnx").read_bytes() == b"my own"


def test_two_outputs_of_fit_are_two_files(muxflow: Call, project: Path, workplace: Path) -> None:
    Path("here").symlink_to(".")
    code, _, error = muxflow("fit", str(workplace / "small.npz"), "--plot", "f.png", "--output", "here/f.png")
    assert code == 2 and "--plot f.png and --output here/f.png are one file; give two" in error


def test_weights_of_others_are_not_replaced(muxflow: Call, project: Path, workplace: Path) -> None:
    for output in ((), ("--output", "darknet.weights")):
        shutil.copy(workplace / "small.npz", "net.npz")
        file = Path(output[1] if output else "net.weights")
        file.write_bytes(b"\0\0\0\1of Darknet")
        code, _, error = muxflow("weights", "net.npz", "--project", "mine", *output)
        assert code == 1 and f"{file} is no weight file of Muxflow, and would be replaced; name another" in error
        assert file.read_bytes() == b"\0\0\0\1of Darknet"
