"""The cellular automaton in HLS."""

from __future__ import annotations

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports, frozen_array
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.hls.kernels.base import Kernel, Table, Unit


class AutomatonWeightsKernel(Kernel[AutomatonWeights], op=AutomatonWeights):
    """The ring in registers, PE steps of the rule a cycle."""

    def access(self, op: AutomatonWeights, ports: Ports, fold: Fold) -> Access:
        """Give the beats, after the iterations that make the first rows where those of a fold are made in parts."""
        beats, parts = op.access(ports, fold).trips, fold.pe // op.chain(fold)
        return Access((), (Pattern(((parts, False), (beats, True))) if parts > 1 else Pattern.always(beats),))

    def cost(self, op: AutomatonWeights, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and one LUT a cell for a step of an elementary rule (three inputs; derived).

        PE rows are chained combinationally, and each held row is a register; picking SIMD of a row's weights by the synapse
        counter is a multiplexer of columns / SIMD inputs for each, a LUT for every four inputs.
        """
        choices = op.columns // fold.simd
        pick = fold.parallel * op.automaton.cells_per_weight * -(-(choices - 1) // 3)
        lut, ff = estimate(process=PROCESS)
        lut += fold.pe * op.ring + pick
        ff += (fold.pe + 1) * op.ring + 2 * fold.parallel
        return Cost(lut, ff, memories=(Memory("ring", "state", 1, op.ring, True),), depth=2)

    def unit(self, op: AutomatonWeights, ports: Ports, fold: Fold) -> Unit:
        return self.call(
            "automaton_weights",
            (
                ("REPEATS", op.repeats // fold.pixels),
                ("NEURON_FOLD", op.rows // fold.pe),
                ("SYNAPSE_FOLD", op.columns // fold.simd),
                ("PE", fold.pe),
                ("SIMD", fold.simd),
                ("RING", op.ring),
                ("RULE", op.rule),
                ("CELLS", op.automaton.cells_per_weight),
                ("CHAIN", op.chain(fold)),
            ),
            Table("start", frozen_array(op.automaton.first_row()[None]), 0, 1, memory=False),
        )
