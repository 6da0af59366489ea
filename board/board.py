"""What a board is, and how one is found by name or by file."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Literal

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.files import check_file, read_bytes
from muxflow.dataflow.fit.device import Device, Resources, check_clock
from muxflow.dataflow.text import did_you_mean, reason

Family = Literal["zynq-7000", "zynq-ultrascale+"]
FAMILIES: dict[str, Family] = {"xc7z": "zynq-7000", "xczu": "zynq-ultrascale+", "xck": "zynq-ultrascale+"}
"""Families by how a part's name begins (`xck` are the modules of the Kria line)."""

ZYNQ_7000_SHELL = Resources(lut=6400, ff=8300, bram18=3, dsp=1)
"""Interconnect and DMA around an accelerator, measured: four placed designs of FINN on the xc7z020 less their accelerators
out of context (6,234 to 6,422 LUT), and a fifth (6,421 LUT); see docs/design/resources.md."""
ZYNQ_ULTRASCALE_SHELL = Resources(lut=7000, ff=9200, bram18=4, dsp=2)
"""The same on Zynq UltraScale+, an estimate: a tenth more than measured on Zynq-7000. The smallest placed design known on
a XCZU3EG takes 8,348 LUT and 11,927 FF with its network."""


@dataclass(frozen=True)
class Board:
    """A development board: a subclass sets the class attributes and says where its figures come from.

    `name`: as given on the command line; `title`: as people call it; `device`: the part, what it offers, and what shell and
    DMA take of that;
    `clock_mhz`: the clock that a design is fitted for unless another one is asked for; `tools`: vendor tools that know
    the part; `products`: what a build for it gives.
    `board_parts`: patterns (vendor:board:part0:version) of the vendor's board files, any of which will do; without them
    the processing system is set up from `ps_clock_mhz`, the frequency of the crystal at its clock input.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    device: ClassVar[Device]
    clock_mhz: ClassVar[float]
    tools: ClassVar[str]
    products: ClassVar[str]
    board_parts: ClassVar[tuple[str, ...]] = ()
    ps_clock_mhz: ClassVar[float] = 33.333333

    @property
    def family(self) -> Family:
        """The family of the part, which says how its processing system is connected.

        Raises MuxflowError for a part without a processing system that the block design knows.
        """
        for start, family in FAMILIES.items():
            if self.device.part.startswith(start):
                return family
        raise MuxflowError(
            f"board {self.name}: part {self.device.part} has no processing system that Muxflow's block design knows; "
            "supported are Zynq-7000 (xc7z...) and Zynq UltraScale+ (xczu..., xck...). The HLS project works for any part"
        )


@lru_cache(maxsize=1)
def boards() -> dict[str, Board]:
    """Find the boards that ship with Muxflow, by name: one file of this package each."""
    import muxflow.board as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    found = {cls.name: cls() for cls in Board.__subclasses__() if cls.__module__.startswith(package.__name__)}
    return dict(sorted(found.items()))


def find_board(name: str) -> Board:
    """Find the board of that name, or the one that a Python file defines (`path/to/my_board.py`).

    Raises UsageError listing the boards for an unknown name, MuxflowError saying what is wrong with the file.
    """
    if name in boards():
        return boards()[name]
    if not name.endswith(".py"):
        raise UsageError(
            f"board {name!r} is not known; supported are {', '.join(boards())}, or a file of your own: "
            f"--board path/to/my_board.py (see docs/reference/boards.md){did_you_mean(name, boards())}"
        )
    path = Path(name)
    check_file(path, "give the file of a board of your own (docs/reference/boards.md)", "board file")
    module = ModuleType(f"_muxflow_board_{path.stem}")
    module.__file__ = str(path)
    try:
        # Not imported: that leaves a folder beside the file, and takes what is there for an edited file of the same size.
        source = read_bytes(path)
        try:
            with redirect_stdout(sys.stderr):  # what it prints is no part of a command's answer
                exec(compile(source, path, "exec", dont_inherit=True), vars(module))
        except MuxflowError as error:
            raise MuxflowError(f"cannot be run ({error})") from error
        return _defined(module)
    except MuxflowError as error:
        raise MuxflowError(f"board file {name}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's file may raise anything
        raise MuxflowError(f"board file {name}: cannot be run ({reason(error)})") from error


def _defined(module: ModuleType) -> Board:
    """Make the one board that a module defines; raises MuxflowError saying what is wrong with it."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Board) and value is not Board
    ]
    if len(classes) != 1:
        raise MuxflowError(f"defines {len(classes)} subclasses of Board; one is expected")
    missing = [
        field
        for field in ("name", "title", "device", "clock_mhz", "tools", "products")
        if not hasattr(classes[0], field)
    ]
    if missing:
        raise MuxflowError(f"{classes[0].__name__} lacks {', '.join(missing)}")
    board: Board = classes[0]()
    _check(board)
    return board


def _check(board: Board) -> None:
    """Raise MuxflowError naming an attribute of a board that has another type than `Board` says."""
    for name in ("clock_mhz", "ps_clock_mhz"):
        try:
            check_clock(getattr(board, name))
        except MuxflowError as error:
            raise MuxflowError(f"{error} ({name})") from error
    for name, kind in (("name", str), ("title", str), ("device", Device), ("tools", str), ("products", str)):
        if not isinstance(getattr(board, name), kind):
            raise MuxflowError(f"{name} is {getattr(board, name)!r}; expected a {kind.__name__}")
    parts = board.board_parts
    if not isinstance(parts, tuple) or not all(isinstance(part, str) for part in parts):
        raise MuxflowError(f"board_parts is {parts!r}; expected a tuple of texts")
    for part in parts:
        if not re.fullmatch(r"[A-Za-z0-9_.+*?-]+(:[A-Za-z0-9_.+*?-]+){3}", part):
            raise MuxflowError(f"board_parts: {part!r}; a pattern is vendor:board:part0:version, * for any version")
