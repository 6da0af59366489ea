"""Arguments of the Python interface that are none: refused by name, as a MuxflowError."""

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import muxflow
from muxflow.board.bitstream.stages import BitstreamOptions
from muxflow.board.driver import AcceleratorError
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.fit.device import Device, Resources
from muxflow.dataflow.graph import file
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import load_weights
from muxflow.dataflow.text import shown
from muxflow.frontend.model import ImportOptions
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.reports.gather.energy import Energies
from muxflow.sweep_results import Point


class NoText:
    """An object that cannot be shown, and is no array."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")


@pytest.mark.parametrize("call", [muxflow.load, muxflow.check, muxflow.open_project])
def test_a_path_that_the_system_does_not_take(call: Any) -> None:
    with pytest.raises(MuxflowError, match=r"^a+\.\.\.a+: File name too long$"):
        call("a" * 100_000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_bits": 1.5}, r"^input of 1\.5 bits; supported are 1 to 16$"),
        ({"input_bits": NoText()}, r"^input of an object of type NoText bits"),
        ({"input_signed": "no"}, r"^input signed 'no'; give True or False$"),
        ({"input_signed": np.ones(3)}, r"^input signed array\(\[1\., 1\., 1\.\]\); give True or False$"),
        ({"stateful": np.ones(3)}, r"^stateful array"),
        ({"input_layout": np.ones(3)}, r"^input layout array.*; supported are channels-first, channels-last$"),
        ({"input_mean": "1"}, r"^input mean '1'; give a number, or a list of one a channel$"),
        (
            {"input_std": range(1, 10**10)},
            r"^input std of 9,999,999,999 numbers; give one, or a list of one a channel$",
        ),
        ({"input_std": {1: 2}}, r"^input std \{1: 2\}; give a number"),
        ({"input_std": b"abc"}, r"^input std b'abc'; give a number"),
        ({"loaded": [1]}, r"^loaded: 1 is no name of a node; give names, or \(\) for all weights$"),
    ],
)
def test_what_a_file_leaves_open(residual: Graph, tmp_path: Path, given: dict[str, Any], message: str) -> None:
    muxflow.save(residual, tmp_path / "net.npz")
    with pytest.raises(UsageError, match=message):
        muxflow.load(tmp_path / "net.npz", **{"input_scale": 1.0, **given})


def test_one_number_stands_for_every_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[ImportOptions] = []
    monkeypatch.setattr("muxflow.api.registry.load", lambda _, options: met.append(options))
    muxflow.load("net.onnx", input_scale=0.5, input_mean=np.array(0.25), input_std=np.array([2.0, 3.0]))
    assert (met[0].input_mean, met[0].input_std) == ((0.25,), (2.0, 3.0))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"board": 5}, r"^muxflow\.fit, board: a int; expected a Board \(or the name of one, or a path to its file\)$"),
        ({"board": Path("nope.py")}, r"^board file nope\.py: no such file"),
        ({"utilisation": 0.5}, r"^muxflow\.fit, utilisation: a float; expected a Utilisation"),
        ({"clock_mhz": NoText()}, r"^a clock of an object of type NoText MHz; it must be positive"),
    ],
)
def test_arguments_of_a_fit(residual: Graph, given: dict[str, Any], message: str) -> None:
    with pytest.raises(MuxflowError, match=message):
        muxflow.fit(residual, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "a\0b"}, r"^a\?b: a path holds no null character$"),
        ({"path": "a" * 100_000}, r"File name too long$"),
        ({"options": 5}, r"^muxflow\.write, options: a int; expected a ProjectOptions"),
        ({"extra": ["x"]}, r"^muxflow\.write, extra: a list; expected a Mapping"),
        ({"extra": {"x": 5}}, r"^muxflow\.write, extra 'x': a int; expected a bytes \(what is to stand in the file\)$"),
        ({"extra": {5: b""}}, r"^muxflow\.write, extra: a int; expected a str \(the name of a file\)$"),
    ],
)
def test_arguments_of_a_project(residual: Graph, tmp_path: Path, given: dict[str, Any], message: str) -> None:
    design = muxflow.fit(residual, fps=100)
    with pytest.raises(MuxflowError, match=message):
        muxflow.write(design, **{"path": tmp_path / "p", **given})
    assert not list(tmp_path.iterdir())


def test_arguments_of_a_simulation(residual: Graph, tmp_path: Path) -> None:
    project = muxflow.write(muxflow.fit(residual, fps=100), tmp_path / "p")
    images = np.zeros((1, *residual.streams[residual.inputs[0]].shape), int)
    with pytest.raises(MuxflowError, match=r"^csim variant array\(\[0\., 0\.\]\); supported: 'native', 'reference'$"):
        project.csim(images, np.zeros(2))  # type: ignore[arg-type]
    for jobs in (1.5, 0, True):
        with pytest.raises(
            MuxflowError, match=rf"^muxflow\.Project\.csim, jobs: {jobs}; expected a number of processes"
        ):
            project.csim(images, jobs=jobs)  # type: ignore[arg-type]
    np.testing.assert_array_equal(project.csim(images, jobs=np.int64(2)).outputs, project.csim(images).outputs)
    for field in ("tool", "weights"):
        with pytest.raises(MuxflowError, match=rf"^{field} array\(\[0\.\]\); "):
            ProjectOptions(**{field: np.zeros(1)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 1.5}, r"^a batch of 1\.5 frames; give a whole number, at least 1$"),
        ({"batch": None}, r"^a batch of NoneType frames; give a whole number, at least 1$"),
        ({"timeout": float("nan")}, r"^a timeout nan s; give seconds, at most 1e\+06$"),
        ({"timeout": 10**30}, r"^a timeout of type int; give seconds"),
        ({"timeout": "x"}, r"^a timeout of type str; give seconds"),
    ],
)
def test_arguments_of_an_accelerator(residual: Graph, tmp_path: Path, given: dict[str, Any], message: str) -> None:
    project = muxflow.write(muxflow.fit(residual, fps=100), tmp_path / "p")
    with pytest.raises(AcceleratorError, match=message):
        project.emulate(**given)


def test_questions_to_an_accelerator(residual: Graph, tmp_path: Path) -> None:
    project = muxflow.write(muxflow.fit(residual, fps=100), tmp_path / "p")
    images = np.zeros((1, *residual.streams[residual.inputs[0]].shape), int)
    with project.emulate() as accelerator:
        with pytest.raises(AcceleratorError, match=r"^not an array of codes \(no array\)$"):
            accelerator.run(NoText())  # type: ignore[arg-type]
        with pytest.raises(AcceleratorError, match=r"^a masked array, and no image is left out; give it filled$"):
            accelerator.run(np.ma.masked_array(images))
        with pytest.raises(AcceleratorError, match=r"^a batch of 1\.5 images; measure at least one$"):
            accelerator.measure(1.5)  # type: ignore[arg-type]
        for folder in ("a" * 300, tmp_path / "none"):
            with pytest.raises(AcceleratorError, match=r": no such folder; give one to keep the measurement in$"):
                accelerator.measure(1, record=folder)
        with pytest.raises(AcceleratorError, match=r"no output of type ndarray; there are g$"):
            accelerator.encode(images, np.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(AcceleratorError, match=r"^a+/interface\.json: cannot be read \(.*File name too long\)"):
        muxflow.Accelerator("a" * 300)
    with pytest.raises(AcceleratorError, match=r"^a+: File name too long$"):
        muxflow.Accelerator.emulate("a" * 300)
    assert "\x1b" not in str(AcceleratorError("\x1b[31m"))


def test_codes_that_are_no_array(residual: Graph) -> None:
    shape = residual.streams[residual.inputs[0]].shape
    with pytest.raises(MuxflowError, match=r"input x: not an array of codes \(no array\)$"):
        residual(NoText())  # type: ignore[arg-type]
    with pytest.raises(MuxflowError, match=r"^residual: batches of 0 frames; give 1 or more$"):
        next(residual.batches(np.zeros((1, *shape), int), 0))


def test_streams_that_are_not_there(residual: Graph) -> None:
    shape = residual.streams[residual.inputs[0]].shape
    for call in (lambda: residual.run(np.zeros((1, *shape), int), ["no"]), lambda: residual.why_no_class("no")):
        with pytest.raises(MuxflowError, match=r"^residual: no stream 'no'; give names of `graph\.streams`$"):
            call()


def test_outputs_that_are_no_codes(residual: Graph) -> None:
    (name,) = residual.outputs
    shape = residual.streams[name].shape
    for codes in (np.full((1, *shape), np.nan), np.zeros((1, *shape, 1), int), np.array(["a"])):
        with pytest.raises(
            MuxflowError, match=rf"^residual, output {name}: .* of shape .*; expected integer codes \(N, "
        ):
            residual.read_out(codes)


def test_a_value_without_a_text() -> None:
    assert shown(NoText()) == "an object of type NoText"
    assert shown(10**5000) == "a number of too many digits"


def test_a_graph_that_could_not_be_read_again(residual: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "MOST_HEADER", 100)
    with pytest.raises(MuxflowError, match=r"net\.npz: a header\.json of .* bytes; at most 100 \(MOST_HEADER\)"):
        muxflow.save(residual, tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.uint8, np.int64, Fraction])
def test_numbers_of_any_kind_are_python_numbers(residual: Graph, kind: Any) -> None:
    """NumPy's have so few bits that a rate of 10 million, or cycles of 100 MHz, were infinite."""
    plain = muxflow.fit(residual, clock_mhz=100, fps=250, sure=0.5, slowdown=5)
    design = muxflow.fit(residual, clock_mhz=kind(100), fps=kind(250), sure=0.5, slowdown=kind(5))
    assert (design.interval, design.latency) == (plain.interval, plain.latency)
    for name in ("clock_mhz", "frames_per_second", "latency_seconds"):
        assert type(getattr(design, name)) in (int, float)
        assert getattr(design, name) == getattr(plain, name)
    assert design.asked is not None
    assert {type(value) for value in (design.asked.goal.fps, design.asked.slowdown)} <= {int, float}


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_latency_and_shares_of_few_bits(residual: Graph, kind: Any) -> None:
    latency, share = kind(1e-3), kind(0.5)
    plain = muxflow.fit(
        residual, latency=float(latency), utilisation=muxflow.Utilisation(lut=float(share), sure=float(share))
    )
    design = muxflow.fit(residual, latency=latency, utilisation=muxflow.Utilisation(lut=share, sure=share))
    assert design.utilisation == plain.utilisation
    assert {type(value) for value in vars(design.utilisation).values()} == {float}
    assert design.resources == plain.resources


def test_numbers_that_are_kept_are_python_numbers() -> None:
    point = Point("net.onnx", "pynq-z2", np.float32(0.5), np.float16(0.75), np.int8(100))  # type: ignore[arg-type]
    assert json.loads(json.dumps(vars(point)))["lut"] == 0.5
    device = Device("xc7z020", *np.array([53200, 106400, 280, 220]), reserve=Resources(lut=np.int32(64)))  # type: ignore[arg-type]
    assert {type(value) for value in (device.lut, device.dsp, device.reserve.lut)} == {int}
    with pytest.raises(MuxflowError, match=r"lut is 53200\.5; expected a whole number"):
        Device("xc7z020", np.float32(53200.5), 1, 1, 1)  # type: ignore[arg-type]
    options = ImportOptions(np.float16(0.5), np.uint8(4), input_mean=(np.float32(0.5),))  # type: ignore[arg-type]
    assert [type(value) for value in (options.input_scale, options.input_bits, *options.input_mean)] == [
        float,
        int,
        float,
    ]
    table = {np.int64(8): np.float16(0.5)}
    energies = Energies("mine", table, table, table)  # type: ignore[arg-type]
    assert energies.product(1000, 1000) == 0.5 * 1000**2 / 64
    with pytest.raises(MuxflowError, match="lut is"):
        Device("xc7z020", np.timedelta64(1, "s"), 1, 1, 1)  # type: ignore[arg-type]
    bitstream = BitstreamOptions(timeout_minutes=np.float16(60), jobs=np.int8(100))  # type: ignore[arg-type]
    assert [type(value) for value in (bitstream.timeout_minutes, bitstream.jobs)] == [float, int]


@pytest.mark.parametrize(
    "given", [None, b"net.onnx", 3, io.BytesIO(), onnx.ModelProto()], ids=lambda one: type(one).__name__
)
def test_what_is_no_path(residual: Graph, given: Any) -> None:
    message = rf"^an object of type {type(given).__name__} in place of a path; give a str or a pathlib\.Path"
    message += r": save it, onnx\.save\(model, 'model\.onnx'\)" if isinstance(given, onnx.ModelProto) else "$"
    design = muxflow.fit(residual, fps=250)
    calls = (muxflow.load, muxflow.check, muxflow.open_project)
    for call in (*calls, lambda path: muxflow.save(residual, path), lambda path: muxflow.write(design, path)):
        with pytest.raises(UsageError, match=message):
            call(given)


def test_one_name_in_place_of_a_list(residual: Graph) -> None:
    images = np.zeros((1, *residual.streams[residual.inputs[0]].shape), int)
    with pytest.raises(UsageError, match=r"^residual: keep='stem'; give a list of names$"):
        residual.run(images, keep="stem")
    with pytest.raises(UsageError, match=r"^residual: names='stem'; give a list of names$"):
        load_weights(residual, "stem")
    with pytest.raises(UsageError, match=r"^residual: keep=3; give a list of names$"):
        residual.run(images, keep=3)  # type: ignore[arg-type]
    with pytest.raises(MuxflowError, match=r"^residual: 'stem' is no node; give one of `graph\.nodes`$"):
        residual.ports("stem")  # type: ignore[arg-type]
