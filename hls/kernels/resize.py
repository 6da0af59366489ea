"""Resizing of maps in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.resize import Resize
from muxflow.dataflow.ops.spatial import cube
from muxflow.hls.kernels.base import Kernel, Unit


class ResizeKernel(Kernel[Resize], op=Resize):
    """One position a cycle; a row of input pixels in a memory where rows are repeated, a plane where planes are."""

    def cost(self, op: Resize, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's FMPadding, by the bits of all lanes; what is repeated is a memory of its own."""
        x, y = ports.inputs[0], ports.outputs[0]
        lut, ff = estimate(padding={"constant": 1, "bit": fold.pe * y.bits})
        depth, height, _ = cube(op.factors)
        memories: tuple[Memory, ...] = ()
        if op.mode == "repeat" and depth * height > 1:
            _, rows, columns = cube(x.shape[:-1])
            held = columns * (rows if depth > 1 else 1) * x.channels // fold.pe
            memories = (Memory("rows", "line", held, fold.pe * x.bits, True),)
        return Cost(lut, ff + fold.pe * x.bits, memories=memories, unrolled=fold.pe)

    def unit(self, op: Resize, ports: Ports, fold: Fold) -> Unit:
        x, y = ports.inputs[0], ports.outputs[0]
        arguments: list[tuple[str, int | bool]] = []

        def add(names: tuple[str, str, str], values: tuple[int, int, int]) -> None:
            arguments.extend(zip(names, values, strict=True))

        add(("DEPTH", "HEIGHT", "WIDTH"), cube(x.shape[:-1]))
        arguments += [("FOLD", x.channels // fold.pe)]
        add(("FACTOR_D", "FACTOR_H", "FACTOR_W"), cube(op.factors))
        add(("BEFORE_D", "BEFORE_H", "BEFORE_W"), cube(op.pads[: len(op.factors)], 0))
        add(("OUT_DEPTH", "OUT_HEIGHT", "OUT_WIDTH"), cube(y.shape[:-1]))
        arguments += [("REPEAT", op.mode == "repeat"), ("CODE", op.code)]
        memories = tuple(memory.name for memory in self.cost(op, ports, fold).memories)
        if not memories:
            arguments += [("BLOCK", False)]
        return self.call("resize", tuple(arguments), memories=memories)
