"""The project writer: what it writes, that it writes the same again, and that it never leaves a broken project."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edited import as_written

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import build_design, with_depths
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.hls.names import identifier, identifiers
from muxflow.hls.reserved import is_reserved
from muxflow.hls.vitis.project import ProjectOptions, load_project
from muxflow.hls.vitis.writing import write_project


def dense_graph(name="dense"):
    rng = np.random.default_rng(4)
    nodes = [
        Node("rom", RomWeights(rng.integers(-2, 2, (6, 40))), (), ("w",)),
        Node("fc", MatrixVector(), ("x", "w"), ("sums",)),
        Node("act", Threshold(np.sort(rng.integers(-60, 60, (6, 3)), axis=1), [0, 1, 0, 0, 1, 0]), ("sums",), ("y",)),
    ]
    return with_nodes(Graph(name, (), {"x": Stream((1, 1, 40), 0, 7)}, ("x",), ("y",)), nodes)


SMALL = Device("xc7z020clg400-1", lut=750, ff=106400, bram18=280, dsp=220)
"""So few LUTs that the weights go to block RAM."""


@pytest.fixture(scope="module")
def dense():
    """A matrix in a memory (read in tiles), thresholds, and two width converters."""
    folds = {"fc": Fold(1, 10), "act": Fold(2)}
    graph = insert_forks(dense_graph())
    return build_design(graph, folds, KERNELS, device=SMALL, board="pynq", clock_mhz=125)


def files(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_golden_files(dense, tmp_path, golden):
    vitis = write_project(dense, tmp_path / "vitis")
    for name in (
        "src/top.cpp",
        "src/top.hpp",
        "src/tables/fc.hpp",
        "src/tables/act.hpp",
        "run_hls.tcl",
        "tb/expected.dat",
    ):
        golden(f"vitis_hls/{Path(name).name}", (vitis.path / name).read_text())
    vivado = write_project(dense, tmp_path / "vivado", options=ProjectOptions("vivado_hls", "s_axilite"))
    for name in ("src/top.cpp", "run_hls.tcl"):
        golden(f"vivado_hls/{Path(name).name}", (vivado.path / name).read_text())


def test_layout(dense, tmp_path):
    project = write_project(dense, tmp_path / "p")
    written = files(project.path)
    assert {"design.json", "graph.npz", "run_hls.tcl", "src/top.cpp", "src/top.hpp", "sim/main.cpp"} <= set(written)
    assert {"tb/testbench.cpp", "tb/input.dat", "tb/expected.dat", "include/muxflow/types.hpp"} <= set(written)
    assert not any(b"\r" in data for data in written.values() if data[:2] != b"PK")
    text = written["src/top.cpp"].decode()
    assert "\n\n\n" not in text
    assert str(tmp_path) not in "".join(data.decode() for name, data in written.items() if not name.endswith("npz"))


def test_writes_the_same_twice(dense, tmp_path):
    first = write_project(dense, tmp_path / "a")
    second = write_project(dense, tmp_path / "b")
    assert files(first.path) == files(second.path)
    assert first.digest == second.digest
    write_project(dense, tmp_path / "a")
    assert files(first.path) == files(second.path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "name",
    ["../a", "/tmp/muxflow-a", "src/top.cpp", "sub/x", "", ".", "..", "report", "proof.json", "design.json", "src"],
)
def test_an_extra_file_is_none_of_the_project_and_lies_in_it(dense, tmp_path, name):
    before = files(write_project(dense, tmp_path / "p", extra={"model.onnx": b"1"}).path)
    with pytest.raises(MuxflowError, match=rf"extra file {name!r}"):
        write_project(dense, tmp_path / "p", extra={name: b"2"})
    assert files(tmp_path / "p") == before and before["model.onnx"] == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_vectors_of_the_user(dense, tmp_path):
    images = np.arange(6 * 40).reshape(6, 1, 1, 40) % 8
    project = write_project(dense, tmp_path / "p", vectors=images)
    assert len((project.path / "tb" / "input.dat").read_text().split()) == 4 * 5  # four frames of five words
    assert (project.path / "tb" / "input.dat").read_text().split()[0] == "0706050403020100"
    with pytest.raises(MuxflowError, match="the input holds"):
        write_project(dense, tmp_path / "p", vectors=images + 1)


def test_stages_are_told(dense, tmp_path):
    said = []
    write_project(dense, tmp_path / "p", progress=said.append)
    assert said == ["headers", "tables", "top.cpp", "test vectors", "design"]


def test_foreign_folder_is_refused(dense, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    for path in (tmp_path / "thesis", tmp_path / "thesis" / "chapter1.tex"):
        with pytest.raises(MuxflowError, match="exists and is not a Muxflow project"):
            write_project(dense, path)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    write_project(dense, tmp_path / "empty")


STEPS = [
    "muxflow.hls.vitis.writing.copy_headers",
    "muxflow.hls.vitis.writing.pack",
    "muxflow.hls.vitis.writing.save_design",
    "pathlib.Path.rename",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("bug"), OSError(28, "No space left on device")])
def test_interrupted_write_leaves_the_old_project(dense, tmp_path, monkeypatch, step, error):
    path = tmp_path / "p"
    write_project(dense, path)
    (path / "csim").mkdir()
    (path / "csim" / "native-0").write_text("compiled")
    before = files(path)
    calls = []

    def stop(*_args, **_options):
        calls.append(step)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(step, stop)
        if isinstance(error, OSError):
            with pytest.raises(MuxflowError, match=r"p: cannot be written \(No space left on device\)"):
                write_project(replace(dense, clock_mhz=50), path)
        else:
            with pytest.raises(type(error)):
                write_project(replace(dense, clock_mhz=50), path)
    assert calls
    assert files(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_swap_puts_the_old_project_back(dense, tmp_path, monkeypatch):
    path = tmp_path / "p"
    write_project(dense, path)
    before = files(path)
    rename, calls = Path.rename, []

    def second_fails(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", second_fails)
        with pytest.raises(KeyboardInterrupt):
            write_project(replace(dense, clock_mhz=50), path)
    assert len(calls) == 3
    assert files(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_compiled_simulations_survive(dense, tmp_path):
    path = tmp_path / "p"
    write_project(dense, path)
    (path / "csim").mkdir()
    (path / "csim" / "native-0").write_text("compiled")
    write_project(dense, path)
    assert (path / "csim" / "native-0").read_text() == "compiled"


def test_unwritable_parent(dense, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MuxflowError, match="cannot be written"):
        write_project(dense, tmp_path / "file" / "p")


def test_load(dense, tmp_path):
    options = ProjectOptions("vivado_hls", "s_axilite")
    project = write_project(dense, tmp_path / "p", options=options)
    loaded = load_project(tmp_path / "p")
    assert loaded.options == options
    assert loaded.digest == project.digest
    assert loaded.design == dense
    assert loaded.design.resources == dense.resources
    assert loaded.design.depths == dense.depths
    written = write_project(loaded.design, tmp_path / "q", options=loaded.options)
    assert files(written.path) == files(project.path)


def test_fifos_stand_where_the_plan_counts_them(dense, tmp_path):
    """Registers, shift registers, LUT RAM, block RAM: the pragma says what the memory plan has taken."""
    kinds = {"SRL32": "srl", "RAM32M": "lutram", "RAM64M": "lutram", "RAMB18": "bram"}
    met = set()
    wide = replace(dense, device=replace(SMALL, lut=53200))
    narrow = build_design(
        insert_forks(dense_graph()),
        {"fc": Fold(1, 1), "act": Fold(1)},
        KERNELS,
        device=wide.device,
        board="pynq",
        clock_mhz=125,
    )
    for design, some in ((wide, (2, 12, 40, 300, 4000)), (narrow, (2, 20, 20, 20, 20))):
        depths = {**design.depths, **dict(zip(design.graph.streams, some, strict=False))}
        project = write_project(with_depths(design, depths, None), tmp_path / str(some[1]))
        pragmas = dict(
            re.findall(
                r"bind_storage variable=s_(\w+) type=fifo impl=(\w+)", (project.path / "src" / "top.cpp").read_text()
            )
        )
        expected = {
            identifier(name): kinds[placed.primitives[0].name]
            for name, placed in project.design.fifos.items()
            if placed.placement != "register"
        }
        assert pragmas == expected
        met.update(expected.values())
    assert met == {"srl", "lutram", "bram"}


def test_load_of_a_fitted_design(residual, device, tmp_path):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    write_project(design, tmp_path / "p")
    assert load_project(tmp_path / "p").design == design


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a Muxflow design"),
        ("{", "not a Muxflow design"),
        ("[]", "not a whole Muxflow design"),
        ("{}", "not a whole Muxflow design"),
        ("\udcff", "not a Muxflow design"),
    ],
)
def test_broken_design_file(dense, tmp_path, content, message):
    write_project(dense, tmp_path / "p")
    (tmp_path / "p" / "design.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(MuxflowError, match=message):
        load_project(tmp_path / "p")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("folds", {"fc": {"pe": 4}}, "does not divide|no fold is given"),
        ("folds", {"fc": 3}, "not a whole Muxflow design"),
        ("device", {"part": "x"}, "not a whole Muxflow design"),
        ("options", {"tool": "quartus", "control": "s_axilite"}, "'quartus'; supported: 'vitis_hls'"),
        ("utilisation", {"lut": 2}, "utilisation of 2"),
        ("utilisation", {"lut": "x"}, "utilisation.lut: 'x'; expected float"),
        ("clock_mhz", -5, "a clock of -5 MHz"),
        ("clock_mhz", float("nan"), "clock_mhz: nan; expected a finite number"),
        ("clock_mhz", "fast", "clock_mhz: 'fast'; expected float"),
        ("device", {"part": "x; exec", "lut": 1, "ff": 1, "bram18": 1, "dsp": 1}, "part 'x; exec'"),
        ("device", {"part": "x", "lut": -1, "ff": 1, "bram18": 1, "dsp": 1}, "lut is -1"),
        ("device", {"part": "x", "lut": 1.5, "ff": 1, "bram18": 1, "dsp": 1}, "device.lut: 1.5; expected int"),
        ("depths", {"x": -1}, "depth of -1|for other streams"),
        ("completions", [], "completions: frames leave in order"),
        ("completions", [9, 3], "completions: frames leave in order"),
        ("completions", ["a"], "completions.0: 'a'; expected int"),
        ("board", 7, "board: 7; expected str"),
        ("author", "me", "no field 'author'"),
    ],
)
def test_broken_entries(dense, tmp_path, key, value, message):
    write_project(dense, tmp_path / "p")
    file = tmp_path / "p" / "design.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    as_written(tmp_path / "p")
    with pytest.raises(MuxflowError, match=message):
        load_project(tmp_path / "p")


@pytest.mark.parametrize("depth", [-1, 0, 2**40])
def test_depths_that_no_fifo_has(dense, tmp_path, depth):
    write_project(dense, tmp_path / "p")
    file = tmp_path / "p" / "design.json"
    entry = json.loads(file.read_text())
    entry["depths"] = dict.fromkeys(entry["depths"], depth)
    file.write_text(json.dumps(entry))
    with pytest.raises(MuxflowError, match=f"has a depth of {depth}; from 1 to"):
        load_project(tmp_path / "p")


def test_folds_of_an_unknown_node(dense, tmp_path):
    write_project(dense, tmp_path / "p")
    file = tmp_path / "p" / "design.json"
    entry = json.loads(file.read_text())
    entry["folds"]["nobody"] = {"pe": 1, "simd": 1, "groups": 1}
    file.write_text(json.dumps(entry))
    with pytest.raises(MuxflowError, match="a fold is given for nobody"):
        load_project(tmp_path / "p")


def test_the_digest_changes_with_the_design(dense, tmp_path):
    first = write_project(dense, tmp_path / "p").digest
    file = tmp_path / "p" / "design.json"
    entry = json.loads(file.read_text())
    entry["depths"] = {name: depth + 1 for name, depth in entry["depths"].items()}
    file.write_text(json.dumps(entry))
    as_written(tmp_path / "p")
    assert load_project(tmp_path / "p").digest != first


@pytest.mark.parametrize("key", ["completions", "depths", "board", "clock_mhz", "graph"])
def test_an_edited_design_is_refused(tmp_path, key):
    """The sources, and cycles that were simulated, are of the design as it was written."""
    folder = write_project(muxflow.fit(dense_graph(), fps=100_000), tmp_path / "p").path
    entry = json.loads((folder / "design.json").read_text())
    if key == "graph":
        op = RomWeights(np.random.default_rng(5).integers(-2, 2, (6, 40)))
        graph = dense_graph()
        write_graph(replace(graph, nodes=(replace(graph.nodes[0], op=op), *graph.nodes[1:])), folder / "graph.npz")
    elif key == "depths":
        entry[key] = {name: depth + 1 for name, depth in entry[key].items()}
    else:
        entry[key] = {"completions": [end + 1 for end in entry["completions"]], "board": "kv260", "clock_mhz": 400.0}[
            key
        ]
    name = "graph.npz" if key == "graph" else "design.json"
    if key != "graph":
        (folder / name).write_text(json.dumps(entry))
    with pytest.raises(MuxflowError, match=rf"p/{name}: changed since Muxflow wrote it, so that sources and figures"):
        load_project(folder)


def test_missing_project(tmp_path):
    with pytest.raises(MuxflowError, match=r"design\.json: no such file; `muxflow build"):
        load_project(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("fields", "message"), [({"tool": "quartus"}, "supported: 'vitis_hls'"), ({"control": "x"}, "'ap_ctrl_none'")]
)
def test_bad_options(fields, message):
    with pytest.raises(MuxflowError, match=message):
        ProjectOptions(**fields)


@pytest.mark.parametrize(
    ("graph_name", "inputs"),
    [("g", ("a.b", "a_b")), ("g", ("1", "n_1")), ("g", ("x", "X")), ("input_a", ("a", "b")), ("s_j", ("j", "b"))],
)
def test_names_that_look_alike_compile(tmp_path, graph_name, inputs):
    stream = Stream((1, 1, 4), 0, 7)
    start = Graph(graph_name, (), dict.fromkeys(inputs, stream), inputs, ("j",) if "j" not in inputs else ("y",))
    graph = with_nodes(start, (Node("sum", AddJoin(), inputs, start.outputs),))
    project = muxflow.write(muxflow.fit(graph), tmp_path / "p")
    codes = {name: random_codes(stream, 3, np.random.default_rng(i)) for i, name in enumerate(inputs)}
    np.testing.assert_array_equal(project.csim(codes).outputs, graph(codes))


def test_identifiers():
    names = [
        "a",
        "a-b",
        "a_b",
        "a b",
        "1st",
        "int",
        "while",
        "a.b_2",
        "",
        "é",
        "__x__",
        "class",
        "lambda",
        "a__b",
        "NULL",
    ]
    found = identifiers(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    for text in found.values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", text), text
        assert not is_reserved(text)
    assert (found["a"], found["a-b"], found["a_b"], found["1st"], found["int"]) == (
        "a",
        "a_b",
        "a_b_2",
        "n_1st",
        "n_int",
    )
    assert identifiers(["x", "y"], {"x"}) == {"x": "x_2", "y": "y"}
    assert identifier("conv/1:0") == "conv_1_0"


NAMES = [
    # Node names that meet another emitted name: a table, a stream's variable or type, the top function, its
    # namespace, another name in capitals, a parameter, a function of the kernels, a macro.
    ("conv", "conv_weights", "top"),
    ("s_x", "x_t", "clash"),
    ("clash_design", "CLASH_DESIGN", "Clash_Design"),
    ("x0", "y0", "threshold"),
    ("int", "1", "a\\"),
    ("weights", "weights.weights", "weights weights"),
    ("assert", "NULL", "errno"),
    ("main", "input", "axi_output"),
]


def test_name_clashes(device, tmp_path):
    """All in one compiled project: every tuple names the weights, product and thresholds of one layer."""
    rng = np.random.default_rng(1)
    nodes, last = [], "x"
    for i, (rom, product, act) in enumerate(NAMES):
        nodes += [
            Node(rom, RomWeights(rng.integers(-1, 2, (3, 3)), 1, 2), (), (f"w {i}",)),
            Node(product, MatrixVector(), (last, f"w {i}"), (f"{product}?",)),
            Node(act, Threshold([[-2, 0, 2]], [i % 2]), (f"{product}?",), (act,)),
        ]
        last = act
    graph = with_nodes(Graph("clash", (), {"x": Stream((1, 2, 3), 0, 3)}, ("x",), (last,)), nodes)
    project = write_project(fit(graph, KERNELS, device=device, board="b", clock_mhz=100), tmp_path / "p")
    muxflow.Project(project).csim(rng.integers(0, 4, (4, 1, 2, 3)))


@pytest.mark.parametrize("name", ["int", "7segment", "muxflow", "a b-c", "std"])
def test_graph_names(make_graph, device, tmp_path, name):
    graph = make_graph(Stream((1, 1, 2), 0, 1), Scale([2]), name=name)
    project = write_project(fit(graph, KERNELS, device=device, board="b", clock_mhz=100), tmp_path / "p")
    text = (project.path / "src" / "top.cpp").read_text()
    assert re.search(rf"^void {identifier(name)}\(", text, re.MULTILINE)
    assert f"using namespace {identifier(name)}_design;" in text
    assert f"set_top {identifier(name)}\n" in (project.path / "run_hls.tcl").read_text()


def test_a_frame_takes_no_less_than_the_slowest_node(residual: Graph, tmp_path: Path) -> None:
    """Cycles that somebody wrote, and made pass for Muxflow's, are no cycle simulation."""
    project = muxflow.write(muxflow.fit(residual), tmp_path / "project")
    file = project.path / "design.json"
    entry = json.loads(file.read_text())
    entry["completions"] = [1, 2, 3]
    file.write_text(json.dumps(entry))
    as_written(project.path)
    with pytest.raises(MuxflowError, match=r"design\.json: .*a frame of 1 cycle, of which the slowest node takes \d+"):
        muxflow.open_project(project.path)
