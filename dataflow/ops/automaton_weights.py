"""Weight source: a cellular automaton (MOGNET, CFLOG)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from muxflow.dataflow.automaton import Alphabet, Automaton
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import (
    Fold,
    IntArray,
    Kernel,
    Logic,
    Loop,
    Op,
    Pattern,
    Ports,
    Table,
    control_lut,
    frozen_array,
)


@dataclass(frozen=True, eq=False)
class AutomatonWeights(Op):
    """Makes a matrix row by row from an elementary cellular automaton, once for each vector of the frame.

    `rows`, `columns`: the matrix; `repeats`: vectors in a frame; the other fields but one are those of `Automaton`.
    `writable`: the start of the ring can be another one at run time, so nothing downstream may rely on the weights.
    Only dense matrices: a grouped layer with generated weights is refused by `MatrixVector`'s fold of one group.
    """

    rows: int
    columns: int
    ring: int
    rule: int = 30
    seed: int = 0
    burn_in: int = 0
    alphabet: Alphabet = "binary"
    repeats: int = 1
    writable: bool = False

    follows = "consumer"

    def __post_init__(self) -> None:
        if not self.matrix.any():
            raise GraphError(
                f"cellular automaton: rule {self.rule} on {self.ring} cells dies out, all weights are 0; "
                "use another rule (30 and 45 do not), ring or seed"
            )

    @property
    def automaton(self) -> Automaton:
        """The recipe."""
        return Automaton(self.ring, self.rule, self.seed, self.burn_in, self.alphabet)

    @cached_property
    def matrix(self) -> IntArray:
        """The generated weights, shape (rows, columns)."""
        return frozen_array(self.automaton.weights(self.rows, self.columns))

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        bipolar = self.alphabet == "binary"
        constant = None if self.writable else self.matrix
        return (Stream((self.rows, self.columns), -1, 1, self.repeats, bipolar=bipolar, constant=constant),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (self.matrix,)

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if fold.groups > 1:
            raise GraphError("cellular automaton: generated weights feed one group at a time")
        return (), (fold.parallel,)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        return Loop((), (Pattern.always(ports.outputs[0].elements // fold.parallel),), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A step of an elementary rule is one LUT a cell (three inputs); PE rows are chained combinationally, and each
        held row is a register; picking SIMD of a row's weights by the synapse counter is a multiplexer of
        columns / SIMD inputs for each, a LUT for every four inputs."""
        cells = 1 if self.alphabet == "binary" else 2
        choices = self.columns // fold.simd
        pick = fold.parallel * cells * -(-(choices - 1) // 3)
        lut = fold.pe * self.ring + pick + control_lut(self.loop(ports, fold).trips)
        return Logic(lut, (fold.pe + 1) * self.ring + 2 * fold.parallel + 30)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        return (Memory("ring", "state", 1, self.ring, True),)

    def unrolled(self, ports: Ports, fold: Fold) -> int:
        return 1

    def saved_bits(self, ports: Ports) -> int:
        """Bits of weight memory that the automaton makes unnecessary: one or two a weight, by the alphabet."""
        return self.rows * self.columns * (1 if self.alphabet == "binary" else 2)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        cells = self.automaton.cells_per_weight
        return Kernel(
            "automaton_weights.hpp",
            "automaton_weights",
            (
                ("REPEATS", self.repeats),
                ("NEURON_FOLD", self.rows // fold.pe),
                ("SYNAPSE_FOLD", self.columns // fold.simd),
                ("PE", fold.pe),
                ("SIMD", fold.simd),
                ("RING", self.ring),
                ("RULE", self.rule),
                ("CELLS", cells),
            ),
            (Table("start", frozen_array(self.automaton.first_row()), 0, 1, memory=False),),
        )
