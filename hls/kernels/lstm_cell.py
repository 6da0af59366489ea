"""The LSTM cell in HLS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muxflow.dataflow.access import Access
from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import estimate, products
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import Fold, IntArray, Ports
from muxflow.dataflow.ops.lstm_cell import Interval, LstmCell, sum_interval
from muxflow.hls.kernels.base import Kernel, Table, Unit

NOTHING = np.zeros((1, 1), np.int64)


class LstmCellKernel(Kernel[LstmCell], op=LstmCell):
    """PE rows and SIMD columns a cycle; outputs of two steps and the state in memories; idle cycles between steps."""

    def access(self, op: LstmCell, ports: Ports, fold: Fold) -> Access:
        return op.waiting(ports, fold, self.depth(fold))

    def depth(self, fold: Fold) -> int:
        """Count the cycles from a read of outputs to the write of those that follow from it (decision, no synthesis yet).

        As many idle iterations before each step let the memories be read as if no iteration depended on another.
        """
        return 12 + fold.simd.bit_length()

    def cost(self, op: LstmCell, ports: Ports, fold: Fold) -> Cost:
        """Count a matrix-vector product, all comparisons of thresholds at once, three products a unit (derived).

        The comparisons are those of the gates of PE rows and of the outputs of the units that are finished at once. The
        products of a unit, of gates and state, are of few bits, in LUTs; those of weights and outputs go into DSP blocks where
        both have more than four bits, as in a matrix-vector product.
        """
        w, units, (y,) = ports.inputs[1], op.finished(fold), ports.outputs
        bits = {name: width(*ends)[0] for name, ends in self._ends(op, ports).items()}
        amounts = {"constant": 1.0, "input_bit": fold.simd * y.bits, "accumulator_bit": fold.pe * bits["sum"]}
        if self._in_dsp(ports):
            amounts |= {"dsp": fold.parallel, "dsp_bit": fold.parallel * (w.bits + y.bits)}
        else:
            made = (fold.pe + 1) * fold.simd if w.bipolar else fold.parallel
            for amount, share in products(w.bits, y.bits, w.bipolar).items():
                amounts[amount] = share * made
        for one, other in (("gate", "state"), ("gate", "gate"), ("gate", "squashed")):
            for amount, share in products(bits[one], bits[other], False).items():
                amounts[amount] = amounts.get(amount, 0) + share * units
        gates, outputs = op.thresholds.shape[1], op.outputs.shape[1]
        compared = fold.pe * gates * bits["sum"] + units * (op.squash.size * bits["state"] + outputs * bits["product"])
        lut, ff = estimate(matrix_vector=amounts, threshold={"comparison_bit": compared})
        return Cost(
            lut,
            ff,
            fold.parallel if self._in_dsp(ports) else 0,
            self._memories(op, ports, fold),
            depth=self.depth(fold),
            unrolled=fold.parallel + fold.pe * gates + units * (3 + op.squash.size + outputs),
        )

    def _in_dsp(self, ports: Ports) -> bool:
        """Say whether products of weights and outputs stand in DSP blocks."""
        return min(ports.inputs[1].bits, ports.outputs[0].bits) > 4

    def _ends(self, op: LstmCell, ports: Ports) -> dict[str, Interval]:
        """Give the intervals of what the kernel computes, all of signed types."""
        x, w = ports.inputs
        lowest, highest = zip(*op.gate_intervals, strict=True)
        ends = {
            "sum": sum_interval(x, w, op.output_interval),
            "gate": (min(lowest), max(highest)),
            "update": op.update_interval,
            "state": op.state_interval,
            "squashed": op.squash_interval,
            "product": op.product_interval,
        }
        return {name: (min(lo, -1), max(hi, 0)) for name, (lo, hi) in ends.items()}

    def _memories(self, op: LstmCell, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        units, ends, (y,) = op.finished(fold), self._ends(op, ports), ports.outputs
        finishing = op.units // units
        tables = [(table, table.values.shape) for table in self._tables(op, ports, fold)]
        return (
            Memory("outputs", "state", 2 * op.units // fold.simd, fold.simd * y.bits, True),
            Memory("state", "state", finishing, units * width(*ends["state"])[0], True),
            *(
                Memory(table.name, "threshold", rows, columns * width(table.lo, table.hi)[0])
                for table, (rows, columns) in tables
                if table.memory
            ),
        )

    def _tables(self, op: LstmCell, ports: Ports, fold: Fold) -> tuple[Table, ...]:
        ends = self._ends(op, ports)
        return (
            _steps("gates", op.thresholds, fold.pe, ends["sum"]),
            _steps("sent", op.outputs, op.finished(fold), ends["product"]),
            # Of no steps: a table that the kernel does not read.
            replace(_steps("squash", op.squash[None] if op.squash.size else NOTHING, 1, ends["state"]), memory=False),
        )

    def holds_sources(self, op: LstmCell) -> bool:
        return True

    def unit(self, op: LstmCell, ports: Ports, fold: Fold) -> Unit:
        w, (y,) = ports.inputs[1], ports.outputs
        bits = {name: width(*ends)[0] for name, ends in self._ends(op, ports).items()}
        steps, row_fold, column_fold = op.loops(ports, fold)
        arguments = {
            "STEPS": steps,
            "ROW_FOLD": row_fold,
            "COLUMN_FOLD": column_fold,
            "WAIT": self.depth(fold),
            "PE": fold.pe,
            "SIMD": fold.simd,
            "LAST": op.last,
            "TERNARY": w.lo >= -1 and w.hi <= 1 and not w.bipolar,
            "DSP": self._in_dsp(ports),
            "SUM_BITS": bits["sum"],
            "GATE_STEPS": op.thresholds.shape[1],
            "GATE_BITS": bits["gate"],
            **{f"BASE_{gate}": base for gate, base in zip("IFGO", op.bases, strict=True)},
            "KEPT": op.factors[0],
            "ADDED": op.factors[1],
            "UPDATE_BITS": bits["update"],
            "SHIFT": op.shift,
            "EACH": op.each,
            "STATE_BITS": bits["state"],
            "LOWEST": op.limits[0],
            "HIGHEST": op.limits[1],
            "STEPS_Q": op.squash.size,
            "BASE_Q": op.squash_base,
            "BITS_Q": bits["squashed"],
            "PRODUCT_BITS": bits["product"],
            "STEPS_H": op.outputs.shape[1],
            "BASE_H": op.output_base,
            "BITS_H": y.bits,
            "SIGNED_H": y.signed,
        }
        tables = self._tables(op, ports, fold)
        for register in op.registers():
            tables += (Table(register.name, np.array([register.cells]), 0, 1, memory=False),)
        found = self.call("lstm_cell", tuple(arguments.items()), *tables, memories=("outputs", "state"))
        return replace(found, keeps=op.carries)


def _steps(name: str, thresholds: IntArray, rows: int, ends: Interval) -> Table:
    """Lay thresholds out for so many rows a beat, (beats, step by step the rows); those beyond `ends` right after them."""
    lo, hi = ends
    values = np.clip(thresholds, lo, hi + 1).reshape(-1, rows, thresholds.shape[1]).swapaxes(1, 2)
    return Table(name, values.reshape(len(values), -1), lo, hi + 1)
