"""The LSTM cells of files: the arithmetic of Muxflow's own, and what stands where in Brevitas' node.

Muxflow's is what the importer takes its thresholds from: float32, every operation by itself, so that every library gives the
same bits. Its gates are hard: three parts of a line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.text import shown

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

GATE_BITS, CELL_BITS, FRACTION_BITS = (2, 8), (2, 16), (0, 8)
"""Least and most bits of a gate's code, of the state, and of the state's further fraction (decisions)."""

QUANTIZERS = (
    "output",
    "cell_state",
    "input_acc",
    "forget_acc",
    "cell_acc",
    "output_acc",
    "input_sigmoid",
    "forget_sigmoid",
    "cell_tanh",
    "output_sigmoid",
    "hidden_state_tanh",
)
"""Of Brevitas' node, in the order of its inputs."""
GATE_QUANTIZERS = (
    ("input_acc", "input_sigmoid"),
    ("forget_acc", "forget_sigmoid"),
    ("cell_acc", "cell_tanh"),
    ("output_acc", "output_sigmoid"),
)
"""Of the sums of the gates i, f, g, o, and of what each makes of them."""


def gate_inputs(gate: int) -> tuple[int, int, int]:
    """Return the positions of a gate's weights of the input, its recurrent weights and its bias in Brevitas' node."""
    return 3 + gate, 7 + gate, 11 + gate


def quantizer_input(number: int) -> int:
    """Return the position of the scale of a quantizer, by its number, in Brevitas' node; zero point and bits follow."""
    return 15 + 3 * number


@dataclass(frozen=True)
class CellArithmetic:
    """What a cell computes of the sums of its two products; see `qonnx.recurrent`.

    `gate_bits`: k, of the codes of gates; `cell_bits`: of the state's code; `fraction_bits`: how much finer the state is than
    the cell gate, in bits; `unit`: what one of the sums' steps is, positive.
    Raises UnsupportedError naming what is out of range.
    """

    gate_bits: int
    cell_bits: int
    fraction_bits: int
    unit: np.float32

    def __post_init__(self) -> None:
        for name, (least, most) in {
            "gate_bits": GATE_BITS,
            "cell_bits": CELL_BITS,
            "fraction_bits": FRACTION_BITS,
        }.items():
            bits = getattr(self, name)
            if not isinstance(bits, int | np.integer) or not least <= bits <= most:
                raise UnsupportedError(f"{name} {shown(bits)}; supported are {least} to {most}")
        if not np.isfinite(self.unit) or self.unit <= 0:
            raise UnsupportedError(f"scale and weight_scale give {self.unit:g}; it must be a positive float32 number")

    @property
    def most(self) -> int:
        """The largest code of the state; the smallest is as far below 0."""
        return (1 << self.cell_bits - 1) - 1

    def _sums(self, sums: Codes, bias: Floats) -> Floats:
        return np.asarray(sums.astype(np.float32) * self.unit + bias, np.float32)

    def sigmoid(self, sums: Codes, bias: Floats) -> Codes:
        """Compute the codes of the gates i, f and o, 0 to 2^k - 1: the line (z + 3) / 6, rounded half to even."""
        z = (self._sums(sums, bias) + np.float32(3)) * np.float32(2**self.gate_bits / 6)
        return np.asarray(np.clip(np.rint(z), 0, 2**self.gate_bits - 1), np.int64)

    def tanh(self, sums: Codes, bias: Floats) -> Codes:
        """Compute the codes of the gate g, -(2^(k-1) - 1) to 2^(k-1) - 1: the line z, rounded half to even."""
        half = 1 << self.gate_bits - 1
        z = self._sums(sums, bias) * np.float32(half)
        return np.asarray(np.clip(np.rint(z), 1 - half, half - 1), np.int64)

    def step(self, sums: Codes, bias: Floats, state: Codes, theta: Codes) -> tuple[Codes, Codes]:
        """Compute state and output, (N, H), of a step from the sums, (N, 4 H) gate by gate, and the state before."""
        i, f, g, o = (part.reshape(len(sums), -1) for part in np.split(sums, 4, axis=1))
        biases = np.split(bias, 4)
        i, f, o = (self.sigmoid(part, biases[gate]) for part, gate in ((i, 0), (f, 1), (o, 3)))
        g = self.tanh(g, biases[2])
        state = np.clip((f * state + (i * g << self.fraction_bits)) >> self.gate_bits, -self.most, self.most)
        return state, (o * state >= theta).astype(np.int64)
