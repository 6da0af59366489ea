"""What a file or an option may ask for, so that a small one cannot fill the memory or the disk.

All are decisions: far beyond any network that fits a device, and within the memory of a small machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, prod
from numbers import Integral, Real
from typing import Any

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.text import shown

MOST_ELEMENTS = 1 << 28
"""Elements of one tensor, or of one array of codes: 2 GiB at 8 bytes each."""
MOST_FRAME = 1 << 27
"""Elements of all maps of a model in one frame, weights and windows aside: 1 GiB for their positions at 8 bytes each."""
MOST_OUTPUT = 1 << 24
"""Elements of one output of a model: the host reads each from a place of its own."""
MOST_STEP = 1 << 16
"""Positions that a window moves by, and that lie between two that it reads, on an axis: hardware counts them in 32 bits."""
MOST_NODES = 1 << 16
"""Nodes of a model or a graph."""
MOST_BYTES = 1 << 31
"""Bytes of a model file, and of all that it holds once decompressed: what protocol buffers allow."""
MOST_FILES = 1 << 16
"""Files of a folder that Muxflow reads whole, through links too."""
MOST_DEPTH = 100
"""Lists and tables of a JSON or TOML file, or elements of an XML file, that stand in each other."""
LEAST_FIGURE, MOST_FIGURE = 1e-12, 1 << 62
"""Of any number but 0 in a report: less and more than any design has."""


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number, integer or not, that floats hold; a truth value is none."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)
    except (OverflowError, TypeError):  # a time of NumPy's calls itself a number
        return False


def plain(value: Any) -> Any:
    """Give a number as Python's own int or float, of whatever kind it is; anything else as it is.

    NumPy's go on with as few bits as they have: what is computed of a float16 or an int8 is soon infinite or another number.
    """
    if not is_number(value):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def set_plain(entry: Any, *names: str) -> None:
    """Make the numbers in these fields of a frozen dataclass, while it is made, Python's own; see `plain`."""
    for name in names:
        object.__setattr__(entry, name, plain(getattr(entry, name)))


def number_text(value: Any) -> str:
    """Return a number as a user gives it, for a message; of anything else its representation."""
    return f"{value:g}" if isinstance(value, float) else shown(value)


def check_option(value: Any, least: float, most: float, what: str, remedy: str) -> float:
    """Give an option as Python's own number; raises UsageError unless it is one from `least` to `most`, both included.

    `what`: names the option, with its value at "{}"; `remedy`: says what to give.
    """
    number = plain(value)
    if not is_number(number) or not least <= number <= most:
        raise UsageError(f"{what.replace('{}', number_text(number))}; {remedy}")
    return number  # type: ignore[no-any-return]


def listed(names: Iterable[str], what: str, more: str = "") -> tuple[str, ...]:
    """Give names as a tuple; raises UsageError for one name alone, whose letters would be taken for names, and for no list.

    `what`: names the argument; `more`: says what else may be given.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise UsageError(f"{what}={shown(names)}; give a list of names{more}")
    return tuple(names)


def check_elements(what: str, *sizes: int) -> int:
    """Return the product of sizes; raises MuxflowError naming `what` where it is over MOST_ELEMENTS."""
    count = prod(map(int, sizes))
    if count > MOST_ELEMENTS:
        shape = " x ".join(map(str, sizes))
        raise MuxflowError(
            f"{what}: {shape if len(sizes) > 1 else f'{count:,}'} elements; at most {MOST_ELEMENTS:,} (MOST_ELEMENTS) are "
            "supported, so use smaller sizes"
        )
    return count


def check_frame(what: str, count: int) -> None:
    """Raise MuxflowError naming `what`, the node at which the maps of a model have more than MOST_FRAME elements."""
    if count > MOST_FRAME:
        raise MuxflowError(
            f"{what}: with its output the model's maps have {count:,} elements in one frame; at most {MOST_FRAME:,} "
            "(MOST_FRAME) are supported, so use smaller maps or less padding"
        )


def check_output(what: str, count: int) -> None:
    """Raise MuxflowError naming `what`, an output of more than MOST_OUTPUT elements."""
    if count > MOST_OUTPUT:
        raise MuxflowError(
            f"{what}: {count:,} elements; at most {MOST_OUTPUT:,} (MOST_OUTPUT) are supported, so use a smaller output"
        )


def check_nodes(what: str, count: int) -> None:
    """Raise MuxflowError naming `what` where it has more than MOST_NODES nodes."""
    if count > MOST_NODES:
        raise MuxflowError(f"{what}: {count:,} nodes; at most {MOST_NODES:,} (MOST_NODES) are supported")


def check_bytes(what: str, count: int) -> None:
    """Raise MuxflowError naming `what` where it takes more than MOST_BYTES bytes."""
    if count > MOST_BYTES:
        raise MuxflowError(
            f"{what}: {count:,} bytes once it is read; at most {MOST_BYTES:,} (MOST_BYTES) are supported: it is no model "
            "for a device, or made to fill the memory"
        )


def check_depth(value: Any) -> None:
    """Raise ValueError for what a file holds, lists and tables, where more than MOST_DEPTH of them stand in each other.

    What is nested deeper cannot be walked or shown.
    """
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [part for one in level for part in _parts(one)]
    if any(isinstance(one, dict | list) for one in level):
        raise ValueError(f"its tables are nested too deep; at most {MOST_DEPTH} (MOST_DEPTH) are supported")


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
