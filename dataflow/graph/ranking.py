"""Logits on one integer grid, so that the largest integer is the largest logit."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.common_grid import LARGEST_FACTOR, common_grid
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.graph import Readout
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray, Op
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip

SLACK = 2.0**-22
"""How far, as a share of the offset, an offset may lie from a whole number of steps: float32 rounding of bias and scale."""
LARGEST_OFFSET = 2.0**31
"""In steps of the grid."""


def ordering(readout: Readout, x: Stream) -> list[tuple[str, Op]]:
    """List the ops that bring logits onto one grid, with a name for each; none where the codes of stream `x` are ordered so.

    Scales that differ between classes become integer factors, offsets whole steps that are added; offsets of parts of a step
    make the grid finer by a further factor.
    Raises GraphError where scales or offsets have no common grid, or the logits leave in another order than the model's.
    """
    if readout.order != tuple(range(len(readout.order))):
        raise GraphError("the logits leave in another order than the model's; keep the read-out")
    factors, steps = _on_grid(readout)
    found: list[tuple[str, Op]] = []
    if (factors != 1).any():
        found.append(("aligned", Scale(factors if (factors != factors[0]).any() else factors[:1])))
    if steps.any():
        pairs = [(int(factor), int(step)) for factor, step in np.broadcast(factors, steps)]
        ends = [factor * end + step for factor, step in pairs for end in (x.lo, x.hi)]
        found.append(("offset", ShiftClip(steps, 0, min(ends), max(ends))))
    return found


def _on_grid(readout: Readout) -> tuple[IntArray, IntArray]:
    """Return factors and summands of the codes of each class whose order is that of the logits."""
    scales, offsets = np.array(readout.scale), np.array(readout.offset)
    grid = common_grid(readout.scale) if scales.all() else None
    steps = None if grid is None else _steps(offsets, grid[1], LARGEST_FACTOR // max(map(abs, grid[0])))
    if grid is None or steps is None:
        what = "scale" if grid is None else "offset"
        raise GraphError(
            f"the {what}s of the classes have no common integer grid with factors up to {LARGEST_FACTOR} (LARGEST_FACTOR), so "
            "the largest integer is not always the largest logit; keep the read-out on the host, or train the last layer with "
            "one scale and no bias or an integer one (Int32Bias)"
        )
    return np.array(grid[0], np.int64) * steps[0], steps[1]


def _steps(offsets: npt.NDArray[np.float64], unit: float, most: int) -> tuple[int, IntArray] | None:
    """Return (by what to divide the unit, offsets in whole steps of the result, less what all have in common), None without.

    `most`: the largest divisor. Parts of the unit must be exact: within float32 rounding any number is near some of them.
    """
    found = _whole_steps(offsets, unit)
    if found is not None:
        return 1, found
    if not np.isfinite(offsets).all():
        return None
    exact = [Fraction(offset) for offset in offsets]
    middle = sorted(exact)[len(exact) // 2]
    parts = [(offset - middle) / Fraction(unit) for offset in exact]
    divisor = lcm(*(part.denominator for part in parts))
    if divisor > most or max(map(abs, parts)) * divisor >= LARGEST_OFFSET:
        return None
    return divisor, np.array([int(part * divisor) for part in parts], np.int64)


def _whole_steps(offsets: npt.NDArray[np.float64], unit: float) -> IntArray | None:
    """Return offsets in steps, less what all have in common, where they differ by whole ones."""
    middle = offsets[np.argsort(offsets)[len(offsets) // 2]]
    steps = (offsets - middle) / unit
    near = SLACK * (np.abs(offsets) + abs(middle)) / unit
    differ = steps != 0
    if np.abs(steps).max() >= LARGEST_OFFSET or (near[differ] >= 0.25).any():
        return None
    found = np.asarray(np.rint(steps), np.int64)
    return found if (np.abs(steps - found) <= near).all() else None
