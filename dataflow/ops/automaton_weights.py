"""Weight source: a cellular automaton (MOGNET, CFLOG)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.automaton import Alphabet, Automaton
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, Register, Role, frozen_array

CHAIN = 4
"""Most rows that are made in one cycle, each from the one before: a longer chain of steps is too slow (decision)."""


@dataclass(frozen=True, eq=False)
class AutomatonWeights(Op):
    """Make a weight matrix row by row from an elementary cellular automaton, once for each vector of a frame.

    - Attributes `rows`, `columns`: the matrix, of one group only; `repeats`: vectors in a frame; `ring`, `rule`,
      `seed`, `burn_in`, `alphabet`: of the automaton; `writable`: the start of the ring may be another one at run time,
      so that nothing downstream relies on the weights.
    - Cells `c_0..c_{ring-1}` on a periodic ring. Start: `seed` 0, one live cell at `ring // 2`; else
      `numpy.random.Generator(PCG64(seed)).integers(0, 2, ring)`. A step: `c'_i = bit (4 c_{i-1} + 2 c_i + c_{i+1})` of
      `rule`. `burn_in` steps come first; row `i` of the matrix is the ring after `i` further steps.
    - `binary`: `w_j = 2 c_j - 1`, `ring >= columns`. `ternary`: `w_j = c_{2j} - c_{2j+1}`, `ring >= 2 * columns`. A
      matrix of zeros only is refused.
    - Interval `[-1, 1]`; the stream is constant. Order, lanes and loop as RomWeights. Every repeat starts from row 0.
    - Folds: at most 4 rows are made in one cycle. So more than 4 rows a beat, unless they are all rows, need as many beats
      a row as it takes to make them, in equal parts of at most 4.
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

    inputs = ()
    role = Role.SOURCE

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise GraphError(f"cellular automaton: {self.repeats} repeats; at least 1")
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
        beats, parts = self.columns // fold.simd, fold.pe // self.chain(fold)
        if self.rows > fold.pe and fold.pe > CHAIN and parts > beats:
            raise GraphError(
                f"cellular automaton: {fold.pe} rows are sent in {beats} beats; they are made {self.chain(fold)} in a cycle"
            )
        return (), (fold.parallel,)

    def chain(self, fold: Fold) -> int:
        """Count the rows that are made in one cycle: the rows of a fold are made in equal parts of at most CHAIN."""
        return max(rows for rows in range(1, CHAIN + 1) if fold.pe % rows == 0)

    def access(self, ports: Ports, fold: Fold) -> Access:
        return Access((), (Pattern.always(ports.outputs[0].elements // fold.operations),))

    def saved_bits(self, ports: Ports) -> int:
        """Count the bits of weight memory that the automaton makes unnecessary: one or two a weight, by the alphabet."""
        return self.rows * self.columns * self.automaton.cells_per_weight

    def registers(self) -> tuple[Register, ...]:
        if not self.writable:
            return ()
        return (Register("start", tuple(int(cell) for cell in self.automaton.first_row())),)

    def with_registers(self) -> Op:
        return replace(self, writable=True)
