"""The driver with several inputs and outputs, on the stand-in for a board: a few sums in the place of an accelerator."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from standin_pynq import Board, Monitor

from muxflow.board.driver import Accelerator, AcceleratorError
from muxflow.board.driver import accelerator as accelerator_module
from muxflow.board.driver import registers as r
from muxflow.board.driver.interface import FORMAT, parse_interface
from muxflow.board.driver.packing import pack, unpack

LEFT = {"name": "left", "port": "input_left", "shape": [2, 5], "lowest": -8, "highest": 7}
RIGHT = {"name": "right", "port": "input_right", "shape": [3], "lowest": 0, "highest": 300}
SUMS = {
    "name": "head/sums",
    "port": "output_head_sums",
    "shape": [2],
    "lowest": -40,
    "highest": 335,
    "answer": "logits",
}
LARGEST = {"name": "largest", "port": "output_largest", "shape": [1], "lowest": 0, "highest": 4, "answer": "label"}
COPY = {"name": "copy", "port": "output_copy", "shape": [2, 5], "lowest": -8, "highest": 7, "answer": "codes"}
READOUT = {"scale": [0.5, 0.25], "offset": [0.0, 1.0], "order": [1, 0], "shape": [2]}

DESIGNS = {
    "two inputs": ((LEFT, RIGHT), (SUMS,)),
    "two outputs": ((LEFT,), (LARGEST, COPY)),
    "two of each": ((LEFT, RIGHT), (SUMS, LARGEST)),
    "three outputs": ((LEFT, RIGHT), (SUMS, LARGEST, COPY)),
}


def whole(port):
    """The entry of a port in `interface.json`."""
    bits = 8 if port["highest"] < 128 else 16
    words = -(-int(np.prod(port["shape"])) * bits // 64)
    rest = {"step": 1, "container_bits": bits, "words_per_frame": words, "signed": port["lowest"] < 0}
    answer = {"readout": READOUT if port["answer"] == "logits" else None} if "answer" in port else {}
    return {**port, **rest, "scale": [], "offset": [], **answer}


def interface(inputs, outputs):
    return {
        "format": FORMAT,
        "name": "sums",
        "version": "0",
        "digest": "d",
        "board": "pynq-z2",
        "clock_mhz": 100,
        "interval_cycles": 6,
        "latency_cycles": 20,
        "interval_source": "estimate",
        "control": "ap_ctrl_none",
        "weights": None,
        "bitstream": "accelerator.bit",
        "seeds": [],
        "states": [],
        "inputs": [whole(port) for port in inputs],
        "outputs": [whole(port) for port in outputs],
    }


def answers(codes, outputs):
    """The codes of each output from those of the inputs, by name."""
    left, right = codes["left"], codes.get("right", np.zeros((len(codes["left"]), 3), np.int64))
    found = {
        "head/sums": left.sum(axis=2) + right[:, :2],
        "largest": left[:, 0].argmax(axis=1).reshape(-1, 1),
        "copy": left,
    }
    return tuple(found[port["name"]] for port in outputs)


class Sums:
    """Answers in the place of the emulator."""

    source = "emulator"

    def __init__(self, inputs, outputs):
        self.outputs = outputs
        self.interface = interface(inputs, outputs)
        self.ports = parse_interface(self.interface, "test")
        codes = {port.name: port.random(5, seed=1) for port in self.ports.inputs}
        given = [*codes.values(), *answers(codes, outputs)]
        self.self_test = {port.port: array for port, array in zip(self.ports.ports, given, strict=True)}

    def load(self, slot, words):
        self.codes = {port.name: unpack(one, port) for port, one in zip(self.ports.inputs, words, strict=True)}

    def start(self, slot):
        pass

    def wait(self, slot, seconds):
        given = answers(self.codes, self.outputs)
        return tuple(pack(one, port) for one, port in zip(given, self.ports.outputs, strict=True))


@pytest.fixture
def make(monkeypatch, tmp_path):
    """`make(design)`: the stand-in for a board, and the deploy folder."""

    def make(design):
        sums = Sums(*DESIGNS[design])
        board = Board(emulator=sums)
        monkeypatch.setitem(sys.modules, "pynq", board.module())
        (tmp_path / "interface.json").write_text(json.dumps(sums.interface))
        np.savez(tmp_path / "self_test.npz", **sums.self_test)
        for suffix in ("bit", "hwh"):
            (tmp_path / f"accelerator.{suffix}").write_text("")
        return board, tmp_path

    return make


def images(inputs, count=11):
    ports = parse_interface(interface(inputs, (COPY,)), "test").inputs
    return {port.name: port.random(count, seed=7) for port in ports}


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("design", DESIGNS)
def test_every_output_of_every_design(make, design, batch):
    inputs, outputs = DESIGNS[design]
    board, folder = make(design)
    codes = images(inputs)
    expected = answers(codes, outputs)
    in_order = tuple(codes.values()) if len(codes) > 1 else codes["left"]
    with Accelerator(folder, batch=batch) as accelerator:
        for given in (codes, in_order):
            met = accelerator.run(given)
            for one, wanted in zip((met,) if len(outputs) == 1 else met, expected, strict=True):
                np.testing.assert_array_equal(one, wanted)
        assert accelerator.self_test() == 5
        accelerator.clear_counters()
        accelerator.run(codes)
        counters = accelerator.counters()
        assert [one.frames for one in (*counters.inputs, *counters.outputs)] == [11] * (len(inputs) + len(outputs))
        words = [11 * port.words for port in accelerator.interface.ports]
        assert [one.beats for one in (*counters.inputs, *counters.outputs)] == words
        # Of the last pair: the stand-in lets each take a cycle more than the one before.
        assert counters.latency_cycles == 20 + min(len(inputs), len(outputs)) - 1
        assert accelerator.measure(7).images == 7
        assert board.downloads == 2
    assert not board.memory


def test_predict_and_classify(make):
    _, folder = make("two of each")
    codes = images((LEFT, RIGHT))
    sums, largest = answers(codes, (SUMS, LARGEST))
    logits = (sums * [0.5, 0.25] + [0.0, 1.0])[:, ::-1]
    with Accelerator(folder) as accelerator:
        met = accelerator.predict(codes)
        assert isinstance(met, tuple)
        np.testing.assert_array_equal(met[0], logits)
        np.testing.assert_array_equal(met[1], largest)
        classes = accelerator.classify(codes)
        assert isinstance(classes, tuple)
        np.testing.assert_array_equal(classes[0], logits.argmax(axis=1))
        np.testing.assert_array_equal(classes[1], largest[:, 0])
        np.testing.assert_array_equal(accelerator.classify(codes, output="largest"), largest[:, 0])
        with pytest.raises(AcceleratorError, match=r"sums: no output 'small'; there are head/sums, largest"):
            accelerator.classify(codes, output="small")


def test_classes_and_codes(make):
    _, folder = make("two outputs")
    codes = images((LEFT,))["left"]
    with Accelerator(folder) as accelerator:
        with pytest.raises(AcceleratorError, match=r"output copy is codes, not classes.*output=NAME"):
            accelerator.classify(codes, output="copy")
        with pytest.raises(AcceleratorError, match=r"output largest says the class, it is no code; use classify"):
            accelerator.encode(codes, output="largest")
        for output in (None, "largest"):  # without a name by every output that says the class
            np.testing.assert_array_equal(accelerator.classify(codes, output=output), codes[:, 0].argmax(axis=1))
        for output in (None, "copy"):
            np.testing.assert_array_equal(accelerator.encode(codes, output=output), codes)


GOOD = images((LEFT, RIGHT), 3)
BAD = [
    (GOOD["left"], r"sums: one array for 2 inputs; give a tuple in the order left, right, or a dict by name"),
    ((GOOD["left"],), r"sums: 1 arrays for 2 inputs; give one each for left, right"),
    ([GOOD["left"], GOOD["right"], GOOD["right"]], "sums: 3 arrays for 2 inputs"),
    ({"left": GOOD["left"]}, r"sums: images for left; the inputs are left, right"),
    ({}, r"sums: images for no input; the inputs are left, right"),
    ({"left": GOOD["left"], "wright": GOOD["right"]}, r"sums: images for left, wright; the inputs are left, right"),
    ({**GOOD, "right": GOOD["right"][:2]}, r"sums: batches of different sizes \(3 of left, 2 of right\)"),
    ((GOOD["right"], GOOD["left"]), r"sums, input left: images of shape \(3, 3\); expected \(N, 2, 5\)"),
    ({**GOOD, "right": GOOD["right"] - 301}, r"sums, input right: image codes in .*; the input holds \[0, 300\]"),
    ({**GOOD, "right": GOOD["right"] * 1.0}, "sums, input right: images of type float64"),
    ((GOOD["left"][:0], GOOD["right"][:0]), "sums, input left: a batch of no images"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD)
def test_bad_images(make, wrong, message):
    _, folder = make("two of each")
    with Accelerator(folder) as accelerator:
        for method in (accelerator.run, accelerator.predict, accelerator.classify):
            with pytest.raises(AcceleratorError, match=message):
                method(wrong)


def test_one_input_by_another_name(make):
    _, folder = make("two outputs")
    with (
        Accelerator(folder) as accelerator,
        pytest.raises(AcceleratorError, match="sums: images for right; the inputs are left"),
    ):
        accelerator.run({"right": GOOD["right"]})


FAILURES = {
    "second input": ((r.DMA_SEND, 1 << 5 | r.DMA_HALTED, 1), r"DMA dma_1 send \(MM2S\) status 0x00000021: DMASlvErr"),
    "third output": (
        (r.DMA_RECEIVE, 1 << 6 | r.DMA_HALTED, 2),
        r"DMA dma_2 receive \(S2MM\) status 0x00000041: DMADecErr",
    ),
    "hang": (
        "hang",
        r"no answer within 0\.05 s(.|\n)*DMA dma send \(MM2S\) status 0x00000000: still running(.|\n)*"
        r"took 0 of left, 0 of right words and gave 0 of head/sums, 0 of largest, 0 of copy; this transfer has 8 of left, "
        r"4 of right in and 4 of head/sums, 4 of largest, 8 of copy out",
    ),
    "truncated": ("truncated", r"the transfer of output copy was cut short: 56 of 64 bytes came"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failed_transfer(make, name):
    inject, message = FAILURES[name]
    board, folder = make("three outputs")
    codes = images((LEFT, RIGHT))
    with Accelerator(folder, batch=4, timeout=0.05) as accelerator:
        board.inject = inject
        with pytest.raises(AcceleratorError, match=message):
            accelerator.run(codes)
        assert board.downloads == 3
        for one, wanted in zip(accelerator.run(codes), answers(codes, (SUMS, LARGEST, COPY)), strict=True):
            np.testing.assert_array_equal(one, wanted)


def test_self_test_names_the_output(make):
    board, folder = make("two of each")
    stored = {**board.emulator.self_test}
    stored["output_largest"] = stored["output_largest"] + 1
    np.savez(folder / "self_test.npz", **stored)
    with (
        Accelerator(folder) as accelerator,
        pytest.raises(
            AcceleratorError, match=r"self test, output largest: 5 of 5 images differ, first image 0 at \(0,\)"
        ),
    ):
        accelerator.self_test()


def test_self_test_without_a_port(make):
    board, folder = make("two of each")
    np.savez(folder / "self_test.npz", **{**board.emulator.self_test, "output_largest": None}, allow_pickle=True)
    with pytest.raises(AcceleratorError, match=r"self_test\.npz: cannot be read"):
        Accelerator(folder)


def test_overlay_without_the_second_dma(make, monkeypatch):
    board, folder = make("two inputs")
    board.monitors.pop()
    with pytest.raises(AcceleratorError, match="the overlay has no 'dma_1'"):
        Accelerator(folder)


def test_second_monitor_of_another_version(make, monkeypatch):
    board, folder = make("two inputs")
    other = Monitor()
    other.read = lambda offset: 0
    board.monitors[1] = other
    with pytest.raises(AcceleratorError, match="its stream monitor says 0x00000000 version 0"):
        Accelerator(folder)


def test_emulator_of_several_ports(monkeypatch):
    """The class finds what plays the accelerator by the name of its module."""

    class Emulated(Sums):
        def __init__(self, path, error):
            super().__init__(*DESIGNS["two of each"])

        def clear_counters(self):
            pass

        def close(self):
            pass

    monkeypatch.setattr(accelerator_module, "import_module", lambda name: SimpleNamespace(Emulator=Emulated))
    with Accelerator.emulate("project") as accelerator:
        assert accelerator.self_test() == 5
