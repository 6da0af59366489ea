"""`interface.json`: what the driver must know of one accelerator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

import numpy as np

from .errors import AcceleratorError
from .packing import Port

if TYPE_CHECKING:
    import numpy.typing as npt

    from .packing import Codes

FORMAT = 1
"""Version of `interface.json`; a driver reads its own only."""

INTERFACE_FILE = "interface.json"
SELF_TEST_FILE = "self_test.npz"
ANSWERS = ("logits", "label", "top_k", "codes")


@dataclass(frozen=True)
class Readout:
    """How the output's codes become the model's output: value = scale * code + offset, then `order`, then `shape`."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def __call__(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Model outputs, shape (N, *shape)."""
        values = codes * np.array(self.scale) + np.array(self.offset)
        ordered: npt.NDArray[np.float64] = values.reshape(len(codes), -1)[:, list(self.order)]
        return ordered.reshape(len(codes), *self.shape)


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
        """Register words of 32 bits of a start, cell 0 in the lowest bit of the first one."""
        value = sum(cell << index for index, cell in enumerate(cells))
        return tuple((value >> low) & 0xFFFFFFFF for low in range(0, len(cells), 32))


@dataclass(frozen=True)
class Interface:
    """One accelerator as the host sees it.

    `answer`: what the output is, one of ANSWERS. `control`: "ap_ctrl_none" runs freely, "s_axilite" is started.
    `interval_cycles`: cycles between frames, by the means that `interval_source` names, never measured.
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
    input: Port
    output: Port
    answer: str
    readout: Readout | None
    seeds: tuple[Seed, ...]


def _port(entry: Mapping[str, Any]) -> Port:
    shape = tuple(int(size) for size in entry["shape"])
    port = Port(shape, entry["lowest"], entry["highest"], entry["step"], entry["container_bits"])
    if port.words != entry["words_per_frame"] or port.signed != entry["signed"]:
        raise KeyError("words_per_frame and signed do not fit the other entries")
    return port


def parse_interface(entry: Mapping[str, Any], source: str) -> Interface:
    """The interface of a parsed `interface.json`; raises AcceleratorError naming `source` where it does not fit."""
    found = entry.get("format") if isinstance(entry, dict) else None
    if found != FORMAT:
        raise AcceleratorError(
            f"{source}: format {found!r}, this driver reads {FORMAT}; driver and folder are of different versions of Muxflow. "
            "Copy the whole deploy folder to the board"
        )
    try:
        readout = entry["readout"]
        answer = str(entry["answer"])
        if answer not in ANSWERS:
            raise KeyError(f"answer {answer}")
        return Interface(
            entry["name"],
            entry["version"],
            entry["digest"],
            entry["board"],
            float(entry["clock_mhz"]),
            int(entry["interval_cycles"]),
            entry["interval_source"],
            entry["control"],
            entry["bitstream"],
            _port(entry["input"]),
            _port(entry["output"]),
            answer,
            None if readout is None else Readout(**{name: tuple(values) for name, values in readout.items()}),
            tuple(_seed(one) for one in entry["seeds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AcceleratorError(f"{source}: not a whole interface ({error!r}); write the deploy folder again") from error


def _seed(entry: Mapping[str, Any]) -> Seed:
    cells = tuple(int(cell) for cell in entry["cells"])
    return Seed(entry["node"], entry["argument"], cells, int(entry["offset"]), int(entry["frames_ahead"]))


def read_interface(folder: Path) -> Interface:
    """The interface of a deploy folder; raises AcceleratorError when there is none, or not one of this version."""
    file = folder / INTERFACE_FILE
    try:
        entry = json.loads(file.read_text())
    except FileNotFoundError:
        raise AcceleratorError(f"{file}: no such file; give the deploy folder that `muxflow bitstream` made") from None
    except (ValueError, OSError) as error:
        raise AcceleratorError(f"{file}: cannot be read ({error}); copy the deploy folder again") from error
    return parse_interface(entry, str(file))


def read_self_test(folder: Path) -> dict[str, Codes]:
    """`images` and `expected` of a deploy folder; raises AcceleratorError when the file is missing or broken."""
    file = folder / SELF_TEST_FILE
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name], np.int64) for name in ("images", "expected")}
    except FileNotFoundError:
        raise AcceleratorError(f"{file}: no such file; copy the whole deploy folder to the board") from None
    except Exception as error:  # a damaged zip file raises many kinds
        raise AcceleratorError(f"{file}: cannot be read ({error}); copy the deploy folder again") from error
