"""The weights of a layer, on the way from its quantizer to a constant of the description; needs no Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.frontend.importer.float_chain import Floats
from muxflow.frontend.importer.grids import NARROW_WEIGHT, is_weight, on_grid
from muxflow.frontend.model import Constant

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Kernel:
    """The numbers that a layer computes with, and of what each is a whole multiple where its quantizer says so.

    `values`: float32; `steps`: positive where a value is not 0, broadcasts against `values`; None without a quantizer.
    """

    values: Floats
    steps: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `values`."""
        return self.values.shape

    def moved(self, move: Callable[[Array], Array]) -> Kernel:
        """Move the elements, as by a transposition."""
        steps = None if self.steps is None else move(np.broadcast_to(self.steps, self.shape))
        return Kernel(move(self.values), steps)

    def constant(self, rows: int) -> Constant:
        """Give it codes, on one step for all where they have 8 bits then, or where one a place on the axis `rows` saves none.

        Without codes where the quantizer says no steps, or steps that the values are not on.
        """
        values = np.ascontiguousarray(self.values)
        if self.steps is None:
            return Constant(values)
        steps = np.where(self.values == 0, np.inf, self.steps)

        def finest(axes: tuple[int, ...]) -> Array:
            found = steps.min(axis=axes, keepdims=True)
            return np.where(np.isfinite(found), found, 1.0)

        every = tuple(range(steps.ndim))
        whole = on_grid(values, finest(every))
        if is_weight(whole, NARROW_WEIGHT):
            return whole
        by_row = on_grid(values, finest(every[:rows] + every[rows + 1 :]))
        if whole.codes is None or by_row.codes is None:
            return by_row
        bits = [int(np.abs(one.codes).max(initial=0)).bit_length() for one in (whole, by_row) if one.codes is not None]
        return whole if bits[0] == bits[1] else by_row
