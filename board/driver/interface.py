"""`interface.json`: what the driver must know of one accelerator."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

import numpy as np

from .errors import AcceleratorError
from .packing import CONTAINERS, AxiPort
from .weights import SHOWN, WeightMemories, parse_memories, text, told, whole

if TYPE_CHECKING:
    import numpy.typing as npt

    from .packing import Codes

FORMAT = 4
"""Version of `interface.json`; a driver reads its own only."""

INTERFACE_FILE = "interface.json"
SELF_TEST_FILE = "self_test.npz"
ANSWERS = ("logits", "label", "top_k", "values", "codes")
CLASSES = ("logits", "label", "top_k")
"""Answers that say the class."""

LARGEST_SIZE, LARGEST_CODE, MOST_AHEAD = 1 << 31, 1 << 62, 1 << 20
"""Of a dimension and of a frame's elements, of a code, of frames that were made ahead: more than any accelerator has."""

LARGEST_NUMBER = 1e100
"""Of a scale, an offset, a clock: products with codes stay finite."""


@dataclass(frozen=True)
class Readout:
    """How an output's codes become the model's output: value = scale * code + offset, then `order`, then `shape`."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def __call__(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Give model outputs, shape (N, *shape)."""
        values = codes * np.array(self.scale) + np.array(self.offset)
        ordered: npt.NDArray[np.float64] = values.reshape(len(codes), -1)[:, list(self.order)]
        return ordered.reshape(len(codes), *self.shape)


@dataclass(frozen=True)
class StreamPort(AxiPort):
    """An input or an output of an accelerator.

    `name`: of the model's stream. `port`: of the AXI-Stream port that carries it. `scale`, `offset`: what a code stands
    for, one number for all elements or one a channel, empty where that is not known.
    """

    name: str
    port: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def random(self, count: int, seed: int = 0) -> Codes:
        """Draw `count` frames of codes that the port holds, int64, shape (count, *shape); same seed, same codes."""
        generator, shape = np.random.default_rng(seed), (count, *self.shape)
        if self.step == 1:
            return generator.integers(self.lowest, self.highest, shape, endpoint=True)
        steps = (self.highest - self.lowest) // self.step
        return self.lowest + self.step * generator.integers(0, steps, shape, endpoint=True)


@dataclass(frozen=True)
class OutputPort(StreamPort):
    """An output. `answer`: what its codes are to a user, one of ANSWERS; `readout`: of logits and values, else None.

    `rest`: the layers of the model after it, which the host computes from `predict`, in words; "" for none.
    """

    answer: str
    readout: Readout | None
    rest: str

    def predict(self, codes: Codes) -> Codes | npt.NDArray[np.float64]:
        """Give the model's output, shape (N, ...): floats of logits and values, else the codes."""
        return codes if self.readout is None else self.readout(codes)

    def classify(self, codes: Codes) -> npt.NDArray[np.int64]:
        """Give the class of each image, shape (N,), for an answer of CLASSES."""
        answer = np.asarray(self.predict(codes))
        answer = answer.reshape(len(answer), -1)
        return answer.argmax(axis=1) if self.answer == "logits" else answer[:, 0].astype(np.int64)


@dataclass(frozen=True)
class Seed:
    """The start of one weight generator that can be written at run time.

    `cells`: the stored start, 0 and 1, cell 0 first. `offset`: of its first register, bytes. `argument`: its name in the
    top function. `frames_ahead`: frames that may still be made from the start before, because weights are made ahead.
    """

    node: str
    argument: str
    cells: tuple[int, ...]
    offset: int
    frames_ahead: int

    def words(self, cells: tuple[int, ...]) -> tuple[int, ...]:
        """Give the register words of 32 bits of a start, cell 0 in the lowest bit of the first one."""
        value = sum(cell << index for index, cell in enumerate(cells))
        return tuple((value >> low) & 0xFFFFFFFF for low in range(0, len(cells), 32))


@dataclass(frozen=True)
class Interface:
    """One accelerator as the host sees it.

    `inputs`, `outputs`: in the model's order; input i and output i share a DMA and a stream monitor.
    `control`: "ap_ctrl_none" runs freely, "s_axilite" is started.
    `interval_cycles`: cycles between frames, by the means that `interval_source` names, never measured. `weights`: the
    memories that are loaded at run time, None for none. `states`: what names the frame with
    which each recurrent layer that goes on from frame to frame begins anew, as a start of two cells: whether the frame's number
    is odd, counted from 0 since the overlay was loaded, and one that changes with each frame that is named so.
    """

    name: str
    version: str
    digest: str
    board: str
    clock_mhz: float
    interval_cycles: int
    interval_source: str
    control: str
    bitstream: str
    inputs: tuple[StreamPort, ...]
    outputs: tuple[OutputPort, ...]
    seeds: tuple[Seed, ...]
    states: tuple[Seed, ...]
    weights: WeightMemories | None

    @property
    def ports(self) -> tuple[StreamPort, ...]:
        """The inputs, then the outputs."""
        return (*self.inputs, *self.outputs)

    def output(self, name: str) -> OutputPort:
        """Give the output of that name; raises AcceleratorError listing the outputs when there is none."""
        for port in self.outputs:
            if isinstance(name, str) and port.name == name:
                return port
        met = repr(name[:100]) if isinstance(name, str) else f"of type {type(name).__name__}"
        raise AcceleratorError(
            f"{self.name}: no output {met}; there are {', '.join(port.name for port in self.outputs)}"
        )

    def answering(self, name: str | None, classes: bool) -> tuple[OutputPort, ...]:
        """Give the output of that name, or all, of those that say the class or of those that do not.

        Raises AcceleratorError when there is none.
        """
        asked = self.outputs if name is None else (self.output(name),)
        wanted = tuple(port for port in asked if (port.answer in CLASSES) is classes)
        if wanted:
            return wanted
        port = asked[0]
        if not classes:
            complaint = f"output {port.name} says the class, it is no code; use classify() or run()"
        elif port.rest:
            complaint = f"the host computes {port.rest}; give it what predict() gives of output {port.name}"
        else:
            read = "encode() or run()" if port.readout is None else "predict()"
            complaint = f"output {port.name} is {port.answer}, not classes; use {read} and read them"
            if len(self.outputs) > 1:
                complaint += ", or ask for another one: classify(images, output=NAME)"
        raise AcceleratorError(f"{self.name}: {complaint}")

    def check(self, images: Any) -> tuple[Codes, ...]:
        """Give the codes of each input, int64, shape (N, *shape).

        One input takes an array; several take a tuple or a list of arrays in order, or a dict by name, which one input
        takes too. Raises AcceleratorError, naming the input where there are several, when the number of arrays, a name,
        a shape, a type or a code does not fit, or when batches differ in size.
        """
        arrays = self._by_input(images)
        checked = []
        for port, array in zip(self.inputs, arrays):
            try:
                checked.append(port.check(array))
            except AcceleratorError as error:
                if len(self.inputs) == 1:
                    raise
                raise AcceleratorError(f"{self.name}, input {port.name}: {error}") from None
        if len({len(codes) for codes in checked}) > 1:
            sizes = ", ".join(f"{len(codes)} of {port.name}" for port, codes in zip(self.inputs, checked))
            raise AcceleratorError(f"{self.name}: batches of different sizes ({sizes}); give as many of each input")
        return tuple(checked)

    def _by_input(self, images: Any) -> list[Any]:
        names = [port.name for port in self.inputs]
        if isinstance(images, Mapping):
            if set(images) != set(names):
                raise AcceleratorError(
                    f"{self.name}: images for {', '.join(map(str, images)) or 'no input'}; "
                    f"the inputs are {', '.join(names)}"
                )
            return [images[name] for name in names]
        if len(names) == 1:
            return [images]
        if not isinstance(images, (tuple, list)):
            raise AcceleratorError(
                f"{self.name}: one array for {len(names)} inputs; give a tuple in the order {', '.join(names)}, or a dict "
                "by name"
            )
        if len(images) != len(names):
            raise AcceleratorError(
                f"{self.name}: {len(images)} arrays for {len(names)} inputs; give one each for {', '.join(names)}"
            )
        return list(images)


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) <= LARGEST_NUMBER:
        raise TypeError(f"{value!r:.{SHOWN}} where a number up to {LARGEST_NUMBER:g} belongs")
    return float(value)


def _numbers(values: Any, *lengths: int) -> tuple[float, ...]:
    if len(values) not in lengths:
        raise ValueError(f"{len(values)} numbers; expected {' or '.join(map(str, lengths))}")
    return tuple(map(_number, values))


def _sizes(values: Any) -> tuple[int, ...]:
    return tuple(whole(size, 1, LARGEST_SIZE) for size in values)


def _port(entry: Mapping[str, Any]) -> StreamPort:
    shape, container = _sizes(entry["shape"]), entry["container_bits"]
    if container not in CONTAINERS or not shape or math.prod(shape) > LARGEST_SIZE:
        raise ValueError(f"elements of {container!r:.{SHOWN}} bits, none, or more than {LARGEST_SIZE}")
    lowest = whole(entry["lowest"], -LARGEST_CODE, LARGEST_CODE)
    highest = whole(entry["highest"], lowest, LARGEST_CODE)
    code = shape, lowest, highest, whole(entry["step"], 1, LARGEST_CODE), int(container)
    grid = (_numbers(entry[name], 0, 1, shape[-1]) for name in ("scale", "offset"))
    port = StreamPort(*code, text(entry["name"]), text(entry["port"]), *grid)
    if port.words != entry["words_per_frame"] or port.signed != entry["signed"]:
        raise ValueError("words_per_frame and signed do not fit the other entries")
    return port


def _readout(entry: Mapping[str, Any], port: StreamPort) -> Readout:
    scale, offset = (_numbers(entry[name], 1, port.shape[-1]) for name in ("scale", "offset"))
    order = tuple(whole(place, 0, port.size - 1) for place in entry["order"])
    shape = _sizes(entry["shape"])
    if len(order) != port.size or len(set(order)) != port.size or math.prod(shape) != port.size:
        raise ValueError(
            f"the readout does not put {port.size} elements in the order of an output of {math.prod(shape)}"
        )
    return Readout(scale, offset, order, shape)


def _output(entry: Mapping[str, Any]) -> OutputPort:
    port, answer, readout = _port(entry), entry["answer"], entry["readout"]
    if answer not in ANSWERS:
        raise ValueError(f"answer {answer!r:.{SHOWN}}")
    values = None if readout is None else _readout(readout, port)
    return OutputPort(**vars(port), answer=answer, readout=values, rest=text(entry.get("rest", "")))


def _seed(entry: Mapping[str, Any]) -> Seed:
    cells = tuple("01".index(cell) for cell in text(entry["cells"]))
    offset, ahead = whole(entry["offset"], 0, LARGEST_SIZE), whole(entry["frames_ahead"], 0, MOST_AHEAD)
    return Seed(text(entry["node"]), text(entry["argument"]), cells, offset, ahead)


def _state(entry: Mapping[str, Any]) -> Seed:
    state = _seed(entry)
    if (len(state.cells), state.frames_ahead) != (2, 1):
        raise ValueError(f"{state.node!r:.{SHOWN}} names its frame in other bits than this driver")
    return state


def parse_interface(entry: Mapping[str, Any], source: str) -> Interface:
    """Give the interface of a parsed `interface.json`; raises AcceleratorError naming `source` where it does not fit."""
    found = entry.get("format") if isinstance(entry, dict) else None
    if found != FORMAT:
        raise AcceleratorError(
            f"{source}: format {found!r:.{SHOWN}}, this driver reads {FORMAT}; driver and folder are of different versions "
            "of Muxflow. Copy the whole deploy folder to the board"
        )
    try:
        if not entry["inputs"] or not entry["outputs"]:
            raise ValueError("an accelerator has at least one input and one output")
        return Interface(
            text(entry["name"]),
            text(entry["version"]),
            text(entry["digest"]),
            text(entry["board"]),
            _number(entry["clock_mhz"]),
            whole(entry["interval_cycles"], 0, LARGEST_CODE),
            text(entry["interval_source"]),
            text(entry["control"]),
            text(entry["bitstream"]),
            tuple(_port(one) for one in entry["inputs"]),
            tuple(_output(one) for one in entry["outputs"]),
            tuple(_seed(one) for one in entry["seeds"]),
            tuple(_state(one) for one in entry["states"]),
            None if entry["weights"] is None else parse_memories(entry["weights"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AcceleratorError(
            f"{source}: not a whole interface ({told(error)}); write the deploy folder again"
        ) from error


def _check_plain(file: Path) -> None:
    """Raise AcceleratorError for a pipe or a device, which may have no end."""
    if file.exists() and not file.is_file():
        raise AcceleratorError(
            f"{file}: cannot be read (it is a folder, a pipe or a device); copy the deploy folder again"
        )


def read_interface(folder: Path) -> Interface:
    """Give the interface of a deploy folder; raises AcceleratorError when there is none, or not one of this version."""
    file = folder / INTERFACE_FILE
    try:
        _check_plain(file)
        entry = json.loads(file.read_text())
    except FileNotFoundError:
        raise AcceleratorError(f"{file}: no such file; give the deploy folder that `muxflow bitstream` made") from None
    except (ValueError, RecursionError, OSError) as error:
        raise AcceleratorError(f"{file}: cannot be read ({told(error)}); copy the deploy folder again") from error
    return parse_interface(entry, str(file))


def read_self_test(folder: Path, interface: Interface) -> dict[str, Codes]:
    """Give the codes of the self test of a deploy folder by AXI port name, inputs and outputs.

    Raises AcceleratorError when the file is missing or broken, or lacks a port or has it in another shape, and when there
    are no images, not as many of each port, or codes that an input does not hold.
    """
    file = folder / SELF_TEST_FILE
    _check_plain(file)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            stored = {port.port: np.asarray(arrays[port.port]) for port in interface.ports}
        for port in interface.ports:
            met = stored[port.port]
            if met.shape[1:] != port.shape or met.dtype.kind not in "iu":
                raise ValueError(
                    f"{port.port} has shape {met.shape} of {met.dtype}, expected integers (N, *{port.shape})"
                )
        if len({len(codes) for codes in stored.values()}) > 1:
            raise ValueError("not as many images of each port")
        for port in interface.inputs:
            port.check(stored[port.port])
        return {name: codes.astype(np.int64) for name, codes in stored.items()}
    except FileNotFoundError:
        raise AcceleratorError(f"{file}: no such file; copy the whole deploy folder to the board") from None
    except Exception as error:  # a damaged zip file raises many kinds
        raise AcceleratorError(f"{file}: cannot be read ({told(error)}); copy the deploy folder again") from error
