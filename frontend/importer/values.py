"""What a tensor of the model is, while it is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.float_chain import Floats, Step, affine_of
from muxflow.frontend.model import Constant, ModelNode

Doubles = npt.NDArray[np.float64]
Numbers = TypeVar("Numbers", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Generated:
    """Weights that an automaton makes: value = scale * automaton.weights(rows, columns), shape (rows, columns, 1, 1)."""

    automaton: Automaton
    rows: int
    columns: int
    scale: float


@dataclass(frozen=True, eq=False)
class Tensor:
    """An integer stream and the float steps that lead from it to the tensor.

    `stream`: its name; `index`: flat position in the stream of each element of the model's tensor, in the model's
    shape without the batch, so that re-ordering costs nothing; `scale`: value of one code step, (1,) or (channels,);
    `steps`: float nodes after it; `exact`: whether every float32 sum up to it is exact, whatever its order.
    """

    stream: str
    index: IntArray
    scale: Doubles
    steps: tuple[Step, ...] = ()
    exact: bool = True

    def then(self, step: Step) -> Tensor:
        """Return the tensor after one more float step."""
        return replace(self, steps=(*self.steps, step))

    @property
    def rows(self) -> int:
        """Rows of the stream that the scale or a constant of the steps tells apart: 1, the channels or all elements."""
        return max(self.scale.size, *(size for step in self.steps for size in step.sizes()), 1)

    def meaning(self) -> tuple[Doubles, Doubles] | None:
        """Return (scale, offset) of the codes when all steps are affine, else None."""
        affine = affine_of(self.steps)
        return None if affine is None else (self.scale * affine[0], self.scale * 0 + affine[1])

    def scales_exactly(self) -> bool:
        """Tell whether the tensor is scale times code, rounded at most once: no offset, no step that libraries differ in."""
        meaning = self.meaning()
        steps = all(step.rounded_once() for step in self.steps)
        return self.exact and steps and meaning is not None and not meaning[1].any()


@dataclass(frozen=True, eq=False)
class Image:
    """The model's input before its first quantizer has told what the codes are.

    `shape`: of the input without the batch; `index`: flat position in the input of each element of this view of it.
    """

    name: str
    shape: tuple[int, ...]
    index: IntArray


@dataclass(frozen=True, eq=False)
class Padded:
    """A map with constant padding, which the window that reads it adds, or else a node of its own.

    `node`: the model's node whose output it is; `inner`: the map; `pads`: positions before all its spatial axes, then after
    all; `fill`: the value there, shape (1, channels, 1, ...).
    """

    node: ModelNode
    inner: Tensor | Image
    pads: tuple[int, ...]
    fill: Floats


def shape_of(value: Tensor | Image | Padded) -> tuple[int, ...]:
    """Return the shape of a tensor of the model, without the batch."""
    if isinstance(value, Padded):
        channels, *sizes = value.inner.index.shape
        return (channels, *grown(sizes, value.pads))
    return value.index.shape


def grown(sizes: Sequence[int], pads: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of a map's axes with padding before all of them, then after all."""
    rank = len(sizes)
    return tuple(map(sum, zip(sizes, pads[:rank], pads[rank:], strict=True)))


@dataclass(frozen=True, eq=False)
class Ending:
    """A tensor at the end of the model that the host has from what leaves the chip.

    `tensor`: what leaves the chip; `name`: which tensor of the model that is; `logits`: where it is indices the tensor
    whose largest elements they name, else "". `ordered`: whether the nodes up to here, which the host computes, keep the
    order of the elements.
    """

    tensor: Tensor
    name: str
    ordered: bool = True
    logits: str = ""


@dataclass(frozen=True)
class Unknown:
    """An output of a node that is not supported, or one that Muxflow does not compute; `node` names it."""

    node: str


Value = Constant | Generated | Tensor | Image | Padded | Ending | Unknown


def compact(rows: Numbers) -> Numbers:
    """Return one number where all are equal: (rows,) or (1,)."""
    return cast(Numbers, rows[:1]) if (rows == rows[0]).all() else rows
