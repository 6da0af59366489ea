"""The driver without hardware: packing, the deploy folder, the emulator, examples, and bad input."""

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edited import BAD, places, put
from hypothesis import given
from hypothesis import strategies as st

import muxflow
import muxflow.board.driver
from muxflow.board.deploy import interface_entry, write_driver
from muxflow.board.driver import Accelerator, AcceleratorError
from muxflow.board.driver.interface import FORMAT, StreamPort, parse_interface, read_interface, read_self_test
from muxflow.board.driver.packing import AxiPort, pack, unpack
from muxflow.board.driver.results import Measurement
from muxflow.board.execution import DriverExecution
from muxflow.dataflow.errors import MuxflowError, MuxflowWarning
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.writing import write_project
from muxflow.proof.compare import compare

BOARD = Path(muxflow.board.driver.__file__).parents[1]


@pytest.mark.parametrize("ends", [(-(2**63), 2**63 - 1), (-8, 7), (0, 2**63 - 1)])
def test_random_frames_of_any_interval(ends):
    drawn = StreamPort((3, 2), *ends, 1, 64, "x", "in", (), ()).random(4, seed=1)
    assert drawn.dtype == np.int64
    np.testing.assert_array_equal(drawn, random_codes(Stream((3, 2), *ends), 4, np.random.default_rng(1)))


def logits():
    weights = np.random.default_rng(2).integers(-2, 2, (7, 9))
    nodes = [
        Node("rom", RomWeights(weights), (), ("w",)),
        Node("fc", MatrixVector(), ("x", "w"), ("y",)),
    ]
    graph = with_nodes(Graph("tiny", (), {"x": Stream((3, 3, 1), -4, 3)}, ("x",), ("y",)), nodes)
    return replace(graph, readouts={graph.outputs[0]: Readout((0.5,) * 7, (0.0,) * 7, tuple(range(7)), (7,))})


ANSWERS = {"logits": logits, "label": lambda: append_arg_max(logits()), "top_k": lambda: append_top_k(logits(), 3)}
ANSWERS["codes"] = lambda: replace(logits(), readouts={})


@pytest.fixture(scope="module")
def projects(device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    made = {}
    for answer, graph in ANSWERS.items():
        design = fit(graph(), KERNELS, device=device, board="pynq-z2", clock_mhz=100)
        made[answer] = write_project(design, folder / answer)
    return made


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).integers(-4, 4, (21, 3, 3, 1))


@pytest.fixture
def deploy(projects, tmp_path):
    write_driver(projects["logits"], tmp_path / "deploy")
    return tmp_path / "deploy"


def slow(codes, port):
    """Bit by bit: the text of a frame's words, then numbers again."""
    words = []
    for frame in codes.reshape(len(codes), -1).tolist():
        bits = "".join(f"{code % 2**port.container:0{port.container}b}"[::-1] for code in frame)
        bits += "0" * (-len(bits) % 64)
        words.append([int(bits[i : i + 64][::-1], 2) for i in range(0, len(bits), 64)])
    return words


@given(st.data())
def test_packing_round_trip(data):
    container = data.draw(st.sampled_from([8, 16, 32, 64]))
    signed = data.draw(st.booleans())
    lowest = -(2 ** (container - 1)) if signed else 0
    highest = 2 ** (container - 1) - 1 if signed or container == 64 else 2**container - 1
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    port = AxiPort(shape, lowest, highest, 1, container)
    count = data.draw(st.integers(1, 3))
    flat = data.draw(st.lists(st.integers(lowest, highest), min_size=count * port.size, max_size=count * port.size))
    codes = np.array(flat, np.int64).reshape(count, *shape)
    words = pack(port.check(codes), port)
    assert words.shape == (count, port.words)
    assert words.tolist() == slow(codes, port)
    np.testing.assert_array_equal(unpack(words, port), codes)


def test_cut_words():
    with pytest.raises(AcceleratorError, match="4 AXI words; a frame has 3, so the transfer was cut short"):
        unpack(np.zeros(4, np.uint64), AxiPort((20,), 0, 255, 1, 8))


@pytest.mark.parametrize("answer", ANSWERS)
def test_emulator_equals_the_graph(projects, images, answer):
    graph = ANSWERS[answer]()
    expected = graph(images)
    with Accelerator.emulate(projects[answer].path, batch=8) as accelerator:
        assert [port.answer for port in accelerator.interface.outputs] == [answer]
        np.testing.assert_array_equal(accelerator.run(images), expected)
        (outcome,) = compare(graph, [DriverExecution(accelerator, graph, "emulator")], images).outcomes
        assert (outcome.title, outcome.images, outcome.codes) == ("emulator", 21, expected.size)
        assert accelerator.self_test() == 16
        accelerator.clear_counters()
        if answer == "codes":
            with pytest.raises(AcceleratorError, match="is codes, not classes"):
                accelerator.classify(images)
        else:
            np.testing.assert_array_equal(accelerator.classify(images), logits()(images).reshape(21, -1).argmax(axis=1))
            counters = accelerator.counters()
            assert counters.inputs[0].frames == counters.outputs[0].frames == 21
            assert counters.outputs[0].beats == 21 * accelerator.interface.outputs[0].words
            assert counters.cycles is counters.inputs[0].stalls is counters.latency_cycles is None
        np.testing.assert_array_equal(
            accelerator.predict(images), graph.read_out(expected) if graph.readouts else expected
        )


def test_from_the_api(projects, images, tmp_path):
    project = muxflow.open_project(projects["label"].path)
    with project.emulate(batch=5) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), project.design.graph(images))
    assert project.write_driver(tmp_path)[0] == tmp_path / "interface.json"
    assert read_interface(tmp_path).digest == projects["label"].digest


def test_emulator_measures_itself_as_such(projects):
    with Accelerator.emulate(projects["label"].path, batch=3) as accelerator:
        measured = accelerator.measure(5)
        assert (measured.measured_on, measured.accelerator_latency_seconds) == ("emulator", None)
        assert str(measured).endswith("(measured on the emulator)")
        with pytest.raises(AcceleratorError, match="a batch of 0 images"):
            accelerator.measure(0)


def test_a_measurement_replaces_another_when_it_is_whole(tmp_path):
    first = Measurement(5, 2.0, 1.0, 0.25, None, "emulator", 100.0, None)
    file = first.record(tmp_path, "abc")
    assert json.loads(file.read_text())["digest"] == "abc"
    with pytest.raises(TypeError):
        replace(first, measured_on=b"no text").record(tmp_path, "def")  # type: ignore[arg-type]
    assert json.loads(file.read_text())["digest"] == "abc"
    replace(first, images=7).record(tmp_path, "ghi")
    assert json.loads(file.read_text())["images"] == 7
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(AcceleratorError, match=r"none/measured\.json: cannot be written \(No such file or directory\)"):
        first.record(tmp_path / "none", "abc")


BAD_IMAGES = [
    (np.zeros((2, 3, 3), int), r"images of shape \(2, 3, 3\); expected \(N, 3, 3, 1\)"),
    (np.zeros((2, 3, 1, 3), int), r"expected \(N, 3, 3, 1\)"),
    (np.zeros((2, 3, 3, 1)), r"images of type float64; expected integers in \[-4, 3\]"),
    (np.zeros((2, 3, 3, 1), bool), "images of type bool"),
    (np.zeros((0, 3, 3, 1), int), "a batch of no images"),
    (np.full((1, 3, 3, 1), 4), r"image codes in \[4, 4\]; the input holds \[-4, 3\]"),
    (np.full((1, 3, 3, 1), -5), "the input holds"),
    (np.full((1, 3, 3, 1), 2**63, np.uint64), "the input holds"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD_IMAGES)
def test_bad_images(projects, wrong, message):
    with Accelerator.emulate(projects["label"].path) as accelerator:
        for method in (accelerator.run, accelerator.predict, accelerator.classify):
            with pytest.raises(AcceleratorError, match=message):
                method(wrong)


def test_bipolar_images():
    port = AxiPort((2,), -1, 1, 2, 8)
    assert port.check([[1, -1]]).tolist() == [[1, -1]]
    with pytest.raises(AcceleratorError, match="other than -1 and 1"):
        port.check([[0, 1]])


def test_closed(projects, images):
    accelerator = Accelerator.emulate(projects["label"].path)
    accelerator.close()
    accelerator.close()
    for use in (
        lambda: accelerator.run(images),
        accelerator.counters,
        accelerator.clear_counters,
        accelerator.self_test,
    ):
        with pytest.raises(AcceleratorError, match="tiny: the accelerator is closed"):
            use()


def test_fixed_seeds(projects):
    with Accelerator.emulate(projects["label"].path) as accelerator:
        assert accelerator.seeds == {}
        with pytest.raises(AcceleratorError, match="seeds are fixed in the hardware"):
            accelerator.write_seeds({})


def test_emulator_errors(projects, images, tmp_path):
    with pytest.raises(AcceleratorError, match=r"design\.json: no such file; `muxflow build"):
        Accelerator.emulate(tmp_path)
    for batch in (0, -1, 2.5):
        with pytest.raises(AcceleratorError, match=f"a batch of {batch} frames; give a whole number, at least 1"):
            Accelerator.emulate(projects["label"].path, batch=batch)
    for timeout, met in ((-1, "-1 s"), (1j, "of type complex"), (np.float32("nan"), "of type float32")):
        with pytest.raises(AcceleratorError, match=f"a timeout {met}; give seconds"):
            Accelerator.emulate(projects["label"].path, timeout=timeout)
    with Accelerator.emulate(projects["label"].path, timeout=0.0) as accelerator:
        with pytest.raises(AcceleratorError, match="no answer within 0 s for 21 frames in the emulator"):
            accelerator.run(images)
        accelerator._timeout = 60
        assert len(accelerator.run(images)) == 21


def test_files_that_the_disk_refuses_are_an_error_of_the_driver(projects, images, monkeypatch):
    with Accelerator.emulate(projects["label"].path) as accelerator:
        usual = accelerator.run(images)
        full = OSError(28, "No space left on device", "x.0")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(full))
            with pytest.raises(AcceleratorError, match=r"x\.0: No space left on device"):
                accelerator.run(images)
        np.testing.assert_array_equal(accelerator.run(images), usual)


def test_crash_of_the_simulation(projects, images, tmp_path):
    broken = tmp_path / "p"
    shutil.copytree(projects["label"].path, broken, ignore=shutil.ignore_patterns("csim"))
    main = broken / "sim" / "main.cpp"
    main.write_text(main.read_text().replace("  Files ins, outs;", "  std::exit(9);\n  Files ins, outs;"))
    with (
        pytest.warns(MuxflowWarning, match=r"sources edited since they were written \(sim/main\.cpp\)"),
        Accelerator.emulate(broken) as accelerator,
        pytest.raises(AcceleratorError, match="the simulation ended with code 9"),
    ):
        accelerator.run(images)


def test_frame_beyond_a_transfer(projects, monkeypatch):
    monkeypatch.setattr("muxflow.board.driver.accelerator.DMA_LONGEST_TRANSFER", 15)
    with pytest.raises(AcceleratorError, match="a frame has 16 bytes; a DMA transfer holds 15"):
        Accelerator.emulate(projects["logits"].path)


def test_deploy_folder(projects, tmp_path, golden):
    files = write_driver(projects["logits"], tmp_path / "a")
    again = write_driver(projects["logits"], tmp_path / "b")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]
    assert sorted(files) == sorted(file for file in (tmp_path / "a").rglob("*") if file.is_file())
    entry = json.loads((tmp_path / "a" / "interface.json").read_text())
    assert entry["digest"] == projects["logits"].digest
    design = projects["logits"].design
    assert (entry.pop("interval_cycles"), entry.pop("latency_cycles")) == (design.interval, design.latency)
    golden("interface.json", json.dumps({**entry, "digest": "", "version": ""}, indent=2, sort_keys=True) + "\n")
    with np.load(tmp_path / "a" / "self_test.npz") as arrays:
        np.testing.assert_array_equal(arrays["output"], logits()(arrays["input"]))
        assert len(arrays["input"]) == 16


def test_deploy_errors(projects, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MuxflowError, match="cannot be written"):
        write_driver(projects["logits"], tmp_path / "file" / "deploy")
    bare = tmp_path / "p"
    shutil.copytree(projects["logits"].path, bare, ignore=shutil.ignore_patterns("csim", "tb"))
    with pytest.raises(MuxflowError, match=r"input\.dat: cannot be read"):
        write_driver(replace(projects["logits"], path=bare), tmp_path / "deploy")


STATE = {"node": "lstm", "argument": "anew", "cells": "00", "offset": 32, "frames_ahead": 2}
HUGE = {"shape": [1 << 31] * 20, "words_per_frame": 1 << 617}
BROKEN = [
    (lambda entry: {**entry, "format": FORMAT + 1}, "of different versions of Muxflow"),
    (lambda entry: [], "format None"),
    (lambda entry: {name: value for name, value in entry.items() if name != "clock_mhz"}, r"\(it lacks 'clock_mhz'\)"),
    (lambda entry: {**entry, "outputs": [{**entry["outputs"][0], "answer": "poem"}]}, "answer 'poem'"),
    (lambda entry: {**entry, "inputs": [{**entry["inputs"][0], "words_per_frame": 5}]}, "words_per_frame and signed"),
    (lambda entry: {**entry, "inputs": []}, "at least one input and one output"),
    (lambda entry: {**entry, "outputs": entry["inputs"]}, "'answer'"),
    (lambda entry: {**entry, "format": 1}, f"format 1, this driver reads {FORMAT}"),
    (lambda entry: {**entry, "seeds": [{}]}, "not a whole interface"),
    (lambda entry: {**entry, "weights": {"network": "n", "fingerprint": "", "nodes": []}}, "no memories"),
    (lambda entry: {**entry, "states": [STATE]}, "names its frame in other bits"),
    (lambda entry: {**entry, "weights": 7}, "not a whole interface"),
    (lambda entry: put(entry, ("outputs", 0, "readout", "order", 1), 0), "does not put"),
    (lambda entry: {**entry, "outputs": [entry["outputs"][0] | HUGE]}, "or more than 2147483648"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_broken_interface(deploy, change, message):
    file = deploy / "interface.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(AcceleratorError, match=message):
        Accelerator(deploy)


def test_broken_deploy_folder(deploy, tmp_path):
    assert read_interface(deploy).name == "tiny"
    with pytest.raises(AcceleratorError, match=r"accelerator\.bit: no such file"):
        Accelerator(deploy)
    (deploy / "self_test.npz").write_text("no zip")
    with pytest.raises(AcceleratorError, match=r"self_test\.npz: cannot be read"):
        Accelerator(deploy)
    (deploy / "self_test.npz").unlink()
    with pytest.raises(AcceleratorError, match=r"self_test\.npz: no such file"):
        Accelerator(deploy)
    (deploy / "interface.json").write_text("{")
    with pytest.raises(AcceleratorError, match=r"interface\.json: cannot be read"):
        Accelerator(deploy)
    with pytest.raises(AcceleratorError, match=r"interface\.json: no such file; give the deploy folder"):
        Accelerator(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["interface.json", "self_test.npz"])
def test_pipes_and_devices_are_not_read(deploy, name):
    """They may have no end."""
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")):
        (deploy / name).unlink()
        make(deploy / name)
        with pytest.raises(AcceleratorError, match=rf"{name}: cannot be read \(it is a folder, a pipe or a device\)"):
            Accelerator(deploy)
        if (deploy / name).is_dir():
            (deploy / name).rmdir()
            (deploy / name).touch()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images, answers: (images, answers[..., 0]), "output has shape"),
        (lambda images, answers: (images * 1.0, answers), "input has shape .* of float64, expected integers"),
        (lambda images, answers: (images, answers[1:]), "not as many images of each port"),
        (lambda images, answers: (images[:0], answers[:0]), "a batch of no images"),
        (lambda images, answers: (images + 100, answers), "image codes in"),
    ],
)
def test_a_self_test_of_something_else(deploy, change, message):
    with np.load(deploy / "self_test.npz") as arrays:
        images, answers = change(arrays["input"], arrays["output"])
    np.savez(deploy / "self_test.npz", input=images, output=answers)
    with pytest.raises(AcceleratorError, match=rf"self_test\.npz: cannot be read \({message}"):
        read_self_test(deploy, read_interface(deploy))


def test_every_entry_of_an_interface_may_be_anything(projects):
    """It is refused in a few words, or all that is derived of it can be computed."""
    seed = {"node": "s", "argument": "seed", "cells": "011", "offset": 16, "frames_ahead": 1}
    entry = {**interface_entry(projects["logits"]), "seeds": [seed]}
    for place in places(entry):
        for bad in (*BAD, 3, 2**63, float("inf"), [float("inf")], [10**9] * 3, "9" * 10**5):
            interface, refusal = None, ""
            try:
                interface = parse_interface(put(entry, place, bad), "f.json")
            except AcceleratorError as error:
                refusal = str(error)
            assert refusal.isprintable() and len(refusal) < 400, place
            if interface is None:
                continue
            assert str(interface).isprintable() and all(seed.words(seed.cells) for seed in interface.seeds)
            if max(port.size for port in interface.ports) < 1000:
                (port,), (output,) = interface.inputs, interface.outputs
                assert pack(*interface.check(port.random(2)), port).shape == (2, port.words)
                assert np.isfinite(output.predict(output.random(2))).all()


def test_nesting_without_end(tmp_path):
    (tmp_path / "interface.json").write_text("[" * 10**6)
    with pytest.raises(AcceleratorError, match="cannot be read"):
        read_interface(tmp_path)


@pytest.mark.parametrize("text", ["-1", "1" + 16 * "0", "zz", "1\n", "\xff"])
def test_edited_vectors(projects, tmp_path, text):
    edited = tmp_path / "p"
    shutil.copytree(projects["logits"].path, edited, ignore=shutil.ignore_patterns("csim"))
    (edited / "tb" / "input.dat").write_text(text, encoding="latin-1")
    with pytest.raises(MuxflowError, match=r"input\.dat: cannot be read \(.*build the project again"):
        write_driver(replace(projects["logits"], path=edited), tmp_path / "deploy")


SOURCES = [*sorted((BOARD / "driver").glob("*.py")), BOARD / "example" / "example.py"]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_python_of_a_pynq_image(file):
    """Python 3.8 can read it, and it imports numpy, pynq and the standard library only."""
    tree = ast.parse(file.read_text(), feature_version=(3, 8))
    allowed = {"numpy", "pynq", "muxflow_driver", *sys.stdlib_module_names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module.split(".")[0] in allowed


def test_folder_works_without_muxflow(deploy, tmp_path):
    """As on the board: only the folder is there, and errors are plain text."""
    code = (
        "import sys; sys.modules['muxflow'] = None\n"
        "from muxflow_driver import Accelerator, AcceleratorError\n"
        "for use in (lambda: Accelerator('.'), lambda: Accelerator.emulate('p')):\n"
        "    try: use()\n"
        "    except AcceleratorError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=deploy, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("accelerator.bit: no such file")
    assert second.startswith("the emulator needs Muxflow on this machine: pip install muxflow")


@pytest.mark.parametrize("answer", ["logits", "codes"])
def test_example(projects, deploy, monkeypatch, capsys, answer):
    arguments = ["example.py", "--emulate", str(projects[answer].path), "--batch", "20"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.syspath_prepend(str(deploy))
    runpy.run_path(str(deploy / "example.py"), run_name="__main__")
    text = capsys.readouterr().out
    assert "self test: 16 images agree" in text and "pipelined over 20 images" in text
    assert ("classes of random images" if answer == "logits" else "codes of random images") in text


def test_example_without_a_bitstream(deploy):
    done = subprocess.run([sys.executable, "example.py"], cwd=deploy, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{deploy / 'accelerator.bit'}: no such file")
    assert "Traceback" not in done.stderr


def test_notebook(projects, deploy, monkeypatch):
    notebook = json.loads((deploy / "example.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    monkeypatch.syspath_prepend(str(deploy))
    names = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", []):
            assert names["PROJECT"] is None
            names["PROJECT"] = str(projects["logits"].path)
    np.testing.assert_array_equal(names["images"]["x"].shape, (4, 3, 3, 1))
    with pytest.raises(type(names["accelerator"]).run.__globals__["AcceleratorError"], match="closed"):
        names["accelerator"].counters()
