"""Pools over windows that do not overlap, the whole map included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """(H, W, C) -> (H // KH, W // KW, C): maximum or sum over windows whose stride is their size; no padding.

    An average is a sum whose scale is divided by the window's size; a global pool has the map's size as window.
    """

    kernel: tuple[int, int]
    mode: Literal["max", "sum"]

    def __post_init__(self) -> None:
        if min(self.kernel) < 1 or self.mode not in ("max", "sum"):
            raise GraphError(f"pool: window {self.kernel}, mode {self.mode!r}; supported: sizes >= 1, 'max', 'sum'")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(x.shape) != 3 or x.shape[0] < self.kernel[0] or x.shape[1] < self.kernel[1]:
            raise GraphError(f"pool: a window of {self.kernel} does not fit {x}")
        size = self.kernel[0] * self.kernel[1] if self.mode == "sum" else 1
        # A partial sum must fit as well as the whole one.
        lo, hi = (min(x.lo, x.lo * size), max(x.hi, x.hi * size))
        shape = (x.shape[0] // self.kernel[0], x.shape[1] // self.kernel[1], x.shape[2])
        return (Stream(shape, lo, hi, bipolar=x.bipolar and size == 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        count, height, width, channels = x.shape
        (kernel_h, kernel_w) = self.kernel
        out_h, out_w = height // kernel_h, width // kernel_w
        split = x[:, : out_h * kernel_h, : out_w * kernel_w].reshape(count, out_h, kernel_h, out_w, kernel_w, channels)
        return (split.max(axis=(2, 4)) if self.mode == "max" else split.sum(axis=(2, 4)),)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        height, width, channels = ports.inputs[0].shape
        out_height, out_width, _ = ports.outputs[0].shape
        beats = channels // fold.pe
        row = width * beats
        inner = (((self.kernel[1] - 1) * beats, False), (beats, True)) * out_width
        tail = (row - out_width * self.kernel[1] * beats, False)
        window = (((self.kernel[0] - 1) * row, False), *inner, tail)
        rest = ((height - out_height * self.kernel[0]) * row, False)
        return Loop((Pattern.always(height * row),), (Pattern((*(window * out_height), rest)),))

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A comparison and a choice, or an adder, a lane."""
        bits = fold.pe * ports.outputs[0].bits
        return Logic(
            (bits * 3 // 2 if self.mode == "max" else bits) + control_lut(self.loop(ports, fold).trips) + 30,
            2 * bits + 50,
        )

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        _, width, channels = ports.outputs[0].shape
        return (Memory("row", "line", width * channels // fold.pe, fold.pe * ports.outputs[0].bits, True),)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        height, width, channels = ports.inputs[0].shape
        return Kernel(
            "pool.hpp",
            "pool",
            (
                ("HEIGHT", height),
                ("WIDTH", width),
                ("FOLD", channels // fold.pe),
                ("KERNEL_H", self.kernel[0]),
                ("KERNEL_W", self.kernel[1]),
                ("SUM", self.mode == "sum"),
            ),
        )
