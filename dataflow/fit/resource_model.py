"""The resource model: what the parts of the kernels take, as `make calibrate` fitted it to results of vendor tools.

A *part* (matrix_vector, pool, ...) has *amounts* (constant, input_bit, ...), each with LUTs and flip-flops a unit in
resource_model.toml. Linear: an estimate is the sum of amounts times units.
"""

from __future__ import annotations

import itertools
import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

from muxflow.dataflow.errors import MuxflowError

FILE = Path(__file__).with_suffix(".toml")

FORMAT = 2
"""Number of the file's format: it changes whenever parts or amounts do."""

SIGN_KNOTS = (1, 2, 4, 8)
"""Bits of inputs at which products with weights of one bit have a unit of their own, `sign_<bits>`."""

PRODUCT_KNOTS = (4, 12, 16, 24, 56, 64)
"""Weight bits times input bits at which other products have a unit of their own, `product_<bit pairs>`."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "process": ("constant",),
    "matrix_vector": (
        "constant",
        "input_bit",
        "accumulator_bit",
        "dsp",
        "dsp_bit",
        *(f"sign_{bits}" for bits in SIGN_KNOTS),
        *(f"product_{pairs}" for pairs in PRODUCT_KNOTS),
    ),
    "weight_stream": ("constant", "bit"),
    "threshold": ("comparison_bit", "table_lut"),
    "sliding_window": ("constant", "bit"),
    "padding": ("constant", "bit"),
    "pool": ("constant", "bit"),
    "width_converter": ("widened_bit", "narrowed_bit"),
    "arg_max": ("constant", "bit"),
    "register_fifo": ("constant", "bit"),
    "shift_fifo": ("constant", "bit", "shift_lut"),
    "block_fifo": ("constant",),
}
"""Amounts by part."""

PROCESS: Mapping[str, float] = MappingProxyType({"constant": 1})
"""The amounts of a process that does next to nothing: control, loop counter, handshakes."""


@dataclass(frozen=True)
class Unit:
    """LUTs and flip-flops of one unit of an amount."""

    lut: float
    ff: float


@dataclass(frozen=True)
class Model:
    """What the file holds: units by part and amount, and how far sums of nodes lie from their estimates.

    `spread`: by resource, pairs of a probability and the ratio of the vendor's figure to the estimate that it is below
    with that probability, ascending in both.
    """

    parts: Mapping[str, Mapping[str, Unit]]
    spread: Mapping[str, tuple[tuple[float, float], ...]]


def read_model(file: Path = FILE) -> Model:
    """Read a calibration file; raises MuxflowError naming it where it is damaged, or older or newer than the code."""
    try:
        entry = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise MuxflowError(f"{file}: not a calibration file ({error}); `make calibrate` writes it again") from error
    if entry.get("format") != FORMAT:
        raise MuxflowError(
            f"{file}: a calibration file of format {entry.get('format')!r}; this version of Muxflow reads {FORMAT}: "
            "`make calibrate` writes it again"
        )
    try:
        parts = {
            part: MappingProxyType({amount: Unit(*_numbers(entry[part][amount], 2)) for amount in amounts})
            for part, amounts in PARTS.items()
        }
        spread = {name: _spread(entry["spread"][name]) for name in ("lut", "ff")}
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise MuxflowError(f"{file}: a damaged calibration file ({what}); `make calibrate` writes it again") from error
    return Model(MappingProxyType(parts), MappingProxyType(spread))


def _numbers(value: Any, count: int) -> list[float]:
    if not isinstance(value, list) or len(value) != count or not all(type(one) in (int, float) for one in value):
        raise ValueError(f"{value!r} where {count} numbers belong")
    if not all(0 <= one < 1e9 for one in value):
        raise ValueError(f"{value!r} where numbers from 0 belong")
    return [float(one) for one in value]


def _spread(value: Any) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise ValueError(f"a spread of {value!r}")
    pairs = [_numbers(one, 2) for one in value]
    if pairs != sorted(pairs) or sorted(ratio for _, ratio in pairs) != [ratio for _, ratio in pairs]:
        raise ValueError("a spread that does not ascend")
    return tuple((probability, ratio) for probability, ratio in pairs)


@lru_cache(maxsize=1)
def model() -> Model:
    """Read the model that ships with Muxflow, once."""
    return read_model()


def estimate(**parts: Mapping[str, float]) -> tuple[int, int]:
    """Estimate LUTs and flip-flops of parts with these amounts; raises KeyError for one that the model lacks."""
    lut = ff = 0.0
    for part, amounts in parts.items():
        units = model().parts[part]
        for amount, number in amounts.items():
            unit = units[amount]
            lut += number * unit.lut
            ff += number * unit.ff
    return ceil(lut - 1e-6), ceil(ff - 1e-6)


@lru_cache(maxsize=1 << 10)
def products(weight_bits: int, input_bits: int, signs: bool) -> Mapping[str, float]:
    """Give one product in LUTs as amounts of the nearest measured ones, linear in its size between them.

    `signs`: weights are -1 or +1; the size is the input bits then, else weight bits times input bits. Below the first
    measured size a product costs in proportion, beyond the last one too.
    """
    kind, knots, size = (
        ("sign", SIGN_KNOTS, input_bits) if signs else ("product", PRODUCT_KNOTS, weight_bits * input_bits)
    )
    return MappingProxyType({f"{kind}_{knot}": share for knot, share in between(knots, size).items()})


def between(knots: Sequence[int], size: float) -> dict[int, float]:
    """Give the knots around a size and their shares, so that knot * share sums up to the size."""
    after = bisect_right(knots, size)
    if after == 0 or after == len(knots):
        knot = knots[0] if after == 0 else knots[-1]
        return {knot: size / knot}
    low, high = knots[after - 1], knots[after]
    share = (size - low) / (high - low)
    return {low: 1 - share, high: share} if share else {low: 1.0}


def ratio(resource: str, probability: float) -> float:
    """Give what an estimate of "lut" or "ff" is to be multiplied by to be enough with a probability, linear in between.

    Beyond the ends of what was seen, that of the end.
    """
    pairs = model().spread[resource]
    if probability <= pairs[0][0]:
        return pairs[0][1]
    for (before, low), (after, high) in itertools.pairwise(pairs):
        if probability <= after:
            return low + (high - low) * (probability - before) / (after - before)
    return pairs[-1][1]
