"""C simulation: equal to the graph, progress, jobs, and errors that say what went wrong."""

import errno
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import MismatchError, MuxflowError, ToolError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis import csim
from muxflow.hls.vitis.csim import compile_csim, recordable, run_csim
from muxflow.hls.vitis.execution import CsimExecution
from muxflow.hls.vitis.project import Project, load_project
from muxflow.hls.vitis.writing import write_project
from muxflow.proof.compare import compare
from muxflow.proving import prove, random_images


@pytest.fixture(scope="module")
def project(residual, device, tmp_path_factory):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    return write_project(design, tmp_path_factory.mktemp("csim") / "p")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 8, (9, 6, 6, 4))


@pytest.mark.parametrize("variant", ["native", pytest.param("reference", marks=pytest.mark.needs("hls4ml"))])
def test_equals_the_graph(project, images, variant):
    public = muxflow.Project(project)
    result = public.csim(images, variant)
    np.testing.assert_array_equal(result.outputs, project.design.graph(images))
    (outcome,) = compare(project.design.graph, [CsimExecution(project, variant)], images).outcomes
    assert set(outcome.streams) == {*recordable(project), *project.design.graph.outputs}
    assert {"x", "windows", "sums", "codes", "f", "s", "y", "p", "g"} <= set(outcome.streams)
    assert result.run_seconds > 0
    assert result.images_per_second == pytest.approx(9 / result.run_seconds)
    public.csim(images, variant, bounded=True)


def test_output_without_a_converter(make_graph, device, tmp_path):
    """The output stream is then compared as a node's stream and as the output."""
    graph = make_graph(Stream((1, 1, 3), 0, 3), Scale([2]))
    design = build_design(graph, {"n0": Fold(1)}, KERNELS, device=device, board="b", clock_mhz=100)
    other = write_project(design, tmp_path / "p")
    images = np.random.default_rng(0).integers(0, 4, (5, 1, 1, 3))
    assert other.design.graph.outputs[0] == "t0"
    np.testing.assert_array_equal(muxflow.Project(other).csim(images).outputs, 2 * images)


@pytest.mark.needs("hls4ml")
@pytest.mark.parametrize("weights", ["ternary", "bipolar"])
def test_beats_beyond_the_default_limit_of_ap_int(make_graph, device, tmp_path, weights):
    """Weight streams of 4096 bits: the types of the vendor's headers stop at 1024 unless they are told otherwise."""
    rows, columns = (32, 64) if weights == "ternary" else (64, 64)
    matrix = np.random.default_rng(0).integers(-1, 2, (rows, columns))
    if weights == "bipolar":
        matrix[matrix == 0] = 1
    graph = make_graph(
        Stream((2, 1, columns), -1, 1),
        Node("rom", RomWeights(matrix, 1, 2), (), ("w",)),
        Node("fc", MatrixVector(), ("x", "w"), ("y",)),
        output="y",
    )
    design = build_design(graph, {"fc": Fold(rows, columns)}, KERNELS, device=device, board="b", clock_mhz=100)
    assert design.graph.streams["w"].beat_bits == 4096
    written = write_project(design, tmp_path / "p")
    codes = np.random.default_rng(1).integers(-1, 2, (2, 2, 1, columns))
    for variant in ("native", "reference"):
        np.testing.assert_array_equal(muxflow.Project(written).csim(codes, variant).outputs, graph(codes))


def test_compiles_once(project, images):
    first = run_csim(project, images[:1])
    again = run_csim(load_project(project.path), images[:1])
    assert again.compile_seconds == 0
    np.testing.assert_array_equal(first.outputs, again.outputs)
    assert not [p for p in (project.path / "csim").iterdir() if p.name.startswith(".")]


def test_jobs_and_progress(project, images):
    told = []
    result = run_csim(project, images, jobs=4, record=["y"], progress=lambda done, total: told.append((done, total)))
    expected = project.design.graph.run(images, keep=("y", "g"))
    np.testing.assert_array_equal(result.streams["y"], expected["y"])
    np.testing.assert_array_equal(result.outputs, expected["g"].reshape(result.outputs.shape))
    assert told == sorted(told)
    assert told[-1] == (9, 9)
    assert len(run_csim(project, images[:2], jobs=99).outputs) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_more_images_than_stand_side_by_side(project, jobs):
    count = 2 * csim.IMAGES + 5
    many = np.random.default_rng(1).integers(0, 8, (count, 6, 6, 4))
    told = []
    result = run_csim(project, many, jobs=jobs, record=["y"], progress=lambda done, total: told.append((done, total)))
    expected = project.design.graph.run(many, keep=("y", "g"))
    np.testing.assert_array_equal(result.streams["y"], expected["y"])
    np.testing.assert_array_equal(result.outputs, expected["g"].reshape(result.outputs.shape))
    assert told[-1] == (count, count)
    assert told[0] == (count // 3, count) or jobs > 1  # three equal parts


def test_large_maps_stand_alone(project, images, tmp_path, monkeypatch):
    """Memory is bounded by fewer images side by side, down to plain integers."""
    assert csim.side_by_side(project.design) == csim.IMAGES
    monkeypatch.setattr(csim, "HELD_BYTES", 1)
    assert csim.side_by_side(project.design) == 1
    other = copy(project, tmp_path / "p")
    np.testing.assert_array_equal(run_csim(other, images).outputs, run_csim(project, images, "native").outputs)


def test_bad_images(project):
    with pytest.raises(MuxflowError, match="expected \\(N, 6, 6, 4\\)"):
        run_csim(project, np.zeros((1, 4, 6, 6), int))
    with pytest.raises(MuxflowError, match="the input holds"):
        run_csim(project, np.full((1, 6, 6, 4), 8))


def test_unknown_variant(project):
    with pytest.raises(MuxflowError, match="supported: 'native', 'reference'"):
        compile_csim(project, "fast")


def test_no_compiler(project):
    with pytest.raises(ToolError, match=r"no no-such-g\+\+ on PATH: .*apt-get install"):
        compile_csim(project, compiler="no-such-g++")


def test_no_reference_types(project, monkeypatch):
    monkeypatch.setattr(csim, "ap_types", lambda: None)
    with pytest.raises(ToolError, match=r"ap_int\.h are not installed; they come with hls4ml: .* -m pip install"):
        compile_csim(project, "reference")


def copy(project, path):
    shutil.copytree(project.path, path, ignore=shutil.ignore_patterns("csim"))
    return Project(path, project.design, project.options)


def test_compiler_failure_shows_the_log(project, tmp_path):
    broken = copy(project, tmp_path / "p")
    top = broken.path / "src" / "top.cpp"
    top.write_text(top.read_text() + "\nint broken = nonsense;\n")
    with pytest.raises(ToolError) as caught:
        compile_csim(broken)
    log = broken.path / "csim" / "native.log"
    assert f"log: {log}" in str(caught.value)
    assert "'nonsense' was not declared" in str(caught.value).replace("‘", "'").replace("’", "'")
    assert "nonsense" in log.read_text()
    assert [p.name for p in (broken.path / "csim").iterdir()] == ["native.log"]
    log.unlink()
    os.mkfifo(log)  # nobody reads it
    with pytest.raises(MuxflowError, match=r"native\.log: cannot be written"):
        compile_csim(broken)
    log.unlink()
    log.write_text("of the failure")
    top.write_text(top.read_text().replace("= nonsense", "= 0"))
    assert compile_csim(replace(broken))[0].exists() and not log.exists()


def test_sources_behind_a_link_are_sources(project, images, tmp_path):
    """A folder that somebody replaced by a link: what changes behind it is compiled again, and is another digest."""
    linked = copy(project, tmp_path / "p")
    headers = linked.path / "include" / "muxflow"
    headers.rename(tmp_path / "mine")
    headers.symlink_to(tmp_path / "mine")
    (tmp_path / "mine" / "round").symlink_to(tmp_path / "mine")  # a link that leads back
    assert not linked.edited and linked.digest == project.digest
    np.testing.assert_array_equal(run_csim(linked, images).outputs, project.design.graph(images))
    file = tmp_path / "mine" / "threshold.hpp"
    file.write_text(file.read_text() + "#error changed\n")
    changed = Project(linked.path, project.design, project.options)
    assert changed.edited == "include/muxflow/threshold.hpp" and changed.digest != project.digest
    with pytest.raises(ToolError, match="changed"):
        run_csim(changed, images)


def test_what_an_edited_source_includes_is_compiled_each_time(project, images, tmp_path):
    """It may lie where no digest looks."""
    edited = copy(project, tmp_path / "p")
    (tmp_path / "mine.hpp").write_text("// fine\n")
    top = edited.path / "src" / "top.cpp"
    top.write_text(f'#include "{tmp_path / "mine.hpp"}"\n' + top.read_text())
    edited = Project(edited.path, project.design, project.options)
    assert edited.edited == "src/top.cpp"
    run_csim(edited, images)
    (tmp_path / "mine.hpp").write_text("#error changed\n")
    with pytest.raises(ToolError, match="changed"):
        run_csim(edited, images)


def test_a_compiled_simulation_that_is_damaged_is_compiled_again(project, images, tmp_path, monkeypatch):
    other = copy(project, tmp_path / "p")
    executable, seconds = compile_csim(other)
    whole = executable.read_bytes()
    assert seconds and compile_csim(other) == (executable, 0.0)
    damages = {
        "not executable": lambda: executable.chmod(0o644),
        "empty": lambda: executable.write_bytes(b""),
        "cut": lambda: executable.write_bytes(whole[: len(whole) // 2]),
        "another": lambda: executable.write_text("#!/bin/sh\necho checksum 0\n"),
        "hash gone": lambda: executable.with_suffix(csim.HASH).unlink(),
    }
    monkeypatch.setattr(csim, "compiled", lambda command, *_: made_of(command, whole))
    for name, damage in damages.items():
        damage()
        assert compile_csim(other)[1] > 0, name
        assert executable.read_bytes() == whole and os.access(executable, os.X_OK), name
    np.testing.assert_array_equal(run_csim(other, images).outputs, project.design.graph(images))


def made_of(command, whole):
    """Play the compiler, which takes long."""
    made = Path(command[-1])
    made.write_bytes(whole)
    made.chmod(0o755)
    return subprocess.CompletedProcess(command, 0, "", "")


def test_a_build_amid_the_simulation_is_told(project, images, tmp_path, monkeypatch):
    """One of the same design too, whose sources are gone for a moment."""
    other = write_project(project.design, tmp_path / "p")

    def rebuilt(command, folder, _source):
        write_project(project.design, folder)
        return subprocess.CompletedProcess(
            command, 1, "", "cc1plus: fatal error: sim/main.cpp: No such file or directory"
        )

    monkeypatch.setattr(csim, "compiled", rebuilt)
    for verify in (True, False):
        with pytest.raises(
            MuxflowError, match="p was changed while it was simulated, perhaps by a build; run this again"
        ):
            muxflow.Project(other).csim(images, verify=verify)
    with pytest.raises(MuxflowError, match="was changed while it was simulated"):
        prove(muxflow.Project(other), random_images(project.design.graph, 2), variants=("native",))
    for code, how in ((1, "code 1"), (-11, r"the signal 11 \(Segmentation fault\)"), (0, "code 0")):

        def failed(command, *_, code=code):
            return subprocess.CompletedProcess(command, code, "", "error: no")

        monkeypatch.setattr(csim, "compiled", failed)
        with pytest.raises(ToolError, match=rf"failed on .*top\.cpp, with {how}; log: "):
            muxflow.Project(other).csim(images)


@pytest.mark.parametrize("back", [False, True])
def test_sources_that_change_while_they_are_compiled_leave_nothing(project, tmp_path, monkeypatch, back):
    """Though they are as before again at the end: nobody knows what was compiled."""
    other = copy(project, tmp_path / "p")
    top = other.path / "src" / "top.cpp"
    text = top.read_text()

    def edited(command, *_):
        top.write_text(f"{text}// edited\n")
        if back:
            top.write_text(text)
        return made_of(command, b"program")

    monkeypatch.setattr(csim, "compiled", edited)
    with pytest.raises(MuxflowError, match="p was changed while it was compiled, perhaps by a build; run this again"):
        compile_csim(other)
    assert not list((other.path / "csim").iterdir())
    top.write_text(f"{text}// edited before\n")
    with pytest.raises(MuxflowError, match="p was changed while it was compiled"):
        compile_csim(other)


def test_a_program_that_may_not_run_is_told(project, images, tmp_path, monkeypatch):
    other = write_project(project.design, tmp_path / "p")
    executable, _ = compile_csim(other)
    executable.chmod(0o644)
    monkeypatch.setattr(csim, "compile_csim", lambda *_, **__: (executable, 0.0))
    for flags, why in ((0, r"\(Permission denied\)$"), (os.ST_NOEXEC, "no program may run from .*csim .* noexec")):
        monkeypatch.setattr(os, "statvfs", lambda _folder, flags=flags: SimpleNamespace(f_flag=flags))
        with pytest.raises(ToolError, match=f"the simulation cannot be started .*{why}"):
            run_csim(other, images)


def test_first_difference_is_named(project, images, tmp_path):
    """One threshold changed in the written project: the node after it is named, not the output."""
    broken = copy(project, tmp_path / "p")
    table = broken.path / "src" / "tables" / "act.hpp"
    text = table.read_text()
    head, body = text.split("#ifdef MUXFLOW_NATIVE\n", 1)
    numbers = body.split("}", 1)
    values = [int(v) for v in numbers[0].strip(" {").split(",")]
    changed = ", ".join(str(-(2**6)) for _ in values)
    table.write_text(head + "#ifdef MUXFLOW_NATIVE\n  {" + changed + "}" + numbers[1])
    with pytest.raises(
        MismatchError, match=r"first at node act, stream codes: image \d+, index \(\d+, \d+, \d+\)"
    ) as caught:
        muxflow.Project(broken).csim(images)
    assert "csim (native) differs" in str(caught.value)
    assert ": csim " in str(caught.value)
    assert ", graph " in str(caught.value)


def test_folder_that_cannot_be_written(project, tmp_path, monkeypatch):
    other = copy(project, tmp_path / "p")
    (other.path / "csim").write_text("in the way")
    with pytest.raises(MuxflowError, match=r"csim is no folder, .*; remove it"):
        compile_csim(other)
    (other.path / "csim").unlink()

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(csim, "compiled", full)
    with pytest.raises(MuxflowError, match=r"the simulation cannot be compiled there \(No space left on device\)"):
        compile_csim(other)


def test_crash_is_reported(project, images, tmp_path):
    broken = copy(project, tmp_path / "p")
    main = broken.path / "sim" / "main.cpp"
    main.write_text(main.read_text().replace("  Files ins, outs;", "  std::abort();\n  Files ins, outs;"))
    with pytest.raises(ToolError, match=r"csim: the simulation ended with the signal 6 \(Aborted\)$"):
        run_csim(broken, images)


def test_input_that_ends_early_is_reported(project, images, tmp_path):
    """More frames asked for than the file holds."""
    broken = copy(project, tmp_path / "p")
    main = broken.path / "sim" / "main.cpp"
    main.write_text(main.read_text().replace("std::atol(argv[1])", "std::atol(argv[1]) + 1"))
    with pytest.raises(ToolError, match="ended with code 4: csim: input ends early"):
        run_csim(broken, images)


def test_another_design_compiles_anew(project, images, tmp_path):
    """The executable is found by content: other sources in the same folder never run an old one."""
    other = write_project(project.design, tmp_path / "p")
    run_csim(other, images[:1])
    depths = {name: depth + 1 for name, depth in project.design.depths.items()}
    deeper = replace(project.design, folded=replace(project.design.folded, depths=depths))
    again = write_project(deeper, tmp_path / "p")
    assert run_csim(again, images[:1]).compile_seconds > 0
    assert len([p for p in (again.path / "csim").iterdir() if p.name.startswith("native-")]) == 2, "and its hash"


def test_a_simulation_opens_as_many_files_as_it_may(project, images, tmp_path):
    """One for each recorded stream: a network of a thousand streams came to the limit that a shell sets by itself."""
    executable, _ = compile_csim(project)
    images[:1].astype("<i8").tofile(tmp_path / "x")
    taps = [word for number in range(40) for word in ("--tap", "y", str(tmp_path / f"{number}"), "1")]
    call = [
        str(executable),
        "1",
        "--in",
        "input_0",
        str(tmp_path / "x"),
        "--out",
        "output_0",
        str(tmp_path / "g"),
        *taps,
    ]
    limited = ["bash", "-c", 'ulimit -Sn 20 && exec "$@"', "bash"]
    done = subprocess.run([*limited, *call], capture_output=True, text=True, timeout=60, check=False)
    assert "cannot open" not in done.stderr
    assert len(list(tmp_path.iterdir())) > 40


def test_recorded_streams_hold_one_file_open_whatever_their_number_and_jobs(project, images):
    """A process may have 1,024 files open, where nobody says otherwise: two hundred streams of eight jobs were more."""
    streams = recordable(project)
    before = len(os.listdir("/proc/self/fd"))
    result = run_csim(project, images, jobs=len(images), record=streams)
    assert len(streams) > 5
    assert len(os.listdir("/proc/self/fd")) - before <= 1
    alone = run_csim(project, images, jobs=1, record=streams)
    for name in streams:
        assert np.array_equal(result.streams[name], alone.streams[name]), name
