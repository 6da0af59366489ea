"""Weight source: cellular automaton."""

import numpy as np
import pytest

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights


def slow(rows, columns, ring, rule, seed, burn_in, alphabet):
    """Cell by cell, with the rule's number written out in binary."""
    if seed == 0:
        cells = [1 if i == ring // 2 else 0 for i in range(ring)]
    else:
        cells = [int(c) for c in np.random.Generator(np.random.PCG64(seed)).integers(0, 2, ring)]
    table = f"{rule:08b}"[::-1]

    def step(cells):
        return [int(table[int(f"{cells[i - 1]}{cells[i]}{cells[(i + 1) % ring]}", 2)]) for i in range(ring)]

    for _ in range(burn_in):
        cells = step(cells)
    matrix = []
    for _ in range(rows):
        if alphabet == "binary":
            matrix.append([1 if cells[j] else -1 for j in range(columns)])
        else:
            pairs = {(0, 0): 0, (0, 1): -1, (1, 0): 1, (1, 1): 0}
            matrix.append([pairs[cells[2 * j], cells[2 * j + 1]] for j in range(columns)])
        cells = step(cells)
    return np.array(matrix)


CASES = [
    (1, 1, 3, 30, 0, 0, "binary", 1),
    (6, 10, 24, 30, 0, 24, "binary", 2),
    (4, 9, 18, 45, 7, 5, "ternary", 3),
    (6, 5, 33, 110, 3, 0, "binary", 2),
    (3, 4, 8, 150, 11, 1, "ternary", 2),
    (2, 3, 6, 255, 1, 0, "binary", 1),
]


def test_ladder(ladder):
    kernels = 0
    for rows, columns, ring, rule, seed, burn_in, alphabet, repeats in CASES:
        op = AutomatonWeights(rows, columns, ring, rule, seed, burn_in, alphabet, repeats)
        matrix = slow(rows, columns, ring, rule, seed, burn_in, alphabet)
        folds = [
            Fold(pe, simd)
            for pe in range(1, rows + 1)
            for simd in range(1, columns + 1)
            if rows % pe == 0 and columns % simd == 0
        ]
        folds += [Fold(1, columns, pixels=repeats)] * (repeats > 1)  # shared by all vectors
        kernels += len(folds)
        ladder.add(op, [], lambda matrix=matrix: (matrix,), folds=folds)
    assert ladder.climb() == kernels


def test_rows_that_are_made_ahead(ladder):
    """More than 4 rows a beat, in parts; all rows at once need no more than the start of a frame."""
    kernels = 0
    for rows, columns, ring, alphabet in ((24, 6, 24, "binary"), (10, 5, 16, "ternary"), (7, 7, 9, "binary")):
        op = AutomatonWeights(rows, columns, ring, 30, 3, 2, alphabet, 3)
        ports = Ports((), op.infer())
        folds = []
        for pe in (pe for pe in range(5, rows + 1) if rows % pe == 0):
            for simd in (simd for simd in range(1, columns + 1) if columns % simd == 0):
                parts = pe // next(chain for chain in (4, 3, 2, 1) if pe % chain == 0)
                if pe < rows and parts > columns // simd:
                    with pytest.raises(GraphError, match=rf"{pe} rows are sent in {columns // simd} beats"):
                        op.lanes(ports, Fold(pe, simd))
                else:
                    folds.append(Fold(pe, simd))
        kernels += len(folds)
        matrix = slow(rows, columns, ring, 30, 3, 2, alphabet)
        ladder.add(op, [], lambda matrix=matrix: (matrix,), folds=folds)
    assert ladder.climb() == kernels == 17


@pytest.mark.parametrize("rule", range(0, 256, 15))
@pytest.mark.parametrize("alphabet", ["binary", "ternary"])
def test_all_kinds_of_rules(rule, alphabet):
    met = Automaton(17, rule, 5, 2, alphabet).weights(7, 8)
    np.testing.assert_array_equal(met, slow(7, 8, 17, rule, 5, 2, alphabet))


def test_every_rule_makes_one_step():
    cells = np.array([0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1], np.uint8)
    for rule in range(256):
        table = f"{rule:08b}"[::-1]
        expected = [int(table[4 * cells[i - 1] + 2 * cells[i] + cells[(i + 1) % 12]]) for i in range(12)]
        assert Automaton(12, rule).step(cells).tolist() == expected


def test_burn_in_defaults_to_the_ring():
    assert Automaton(9).burn_in == 9
    np.testing.assert_array_equal(Automaton(9).weights(2, 9), slow(2, 9, 9, 30, 0, 9, "binary"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ring": 2}, "a ring of 2 cells; from 3 to 65536"),
        ({"ring": 10**9}, "a ring of 1000000000 cells; from 3 to 65536"),
        ({"ring": 9, "burn_in": 10**12}, "burn_in 1000000000000; from 0 to 65536"),
        ({"ring": 9, "rule": 256}, "0..255"),
        ({"ring": 9, "seed": -1}, "seed -1"),
        ({"ring": 9, "burn_in": -1}, "burn_in -1"),
        ({"ring": 9, "alphabet": "quaternary"}, "'binary', 'ternary'"),
    ],
)
def test_bad_automata(fields, message):
    with pytest.raises(MuxflowError, match=message):
        Automaton(**fields)


def test_bad_weights():
    with pytest.raises(MuxflowError, match="use ring >= 10"):
        AutomatonWeights(2, 10, 9)
    with pytest.raises(MuxflowError, match="use ring >= 20"):
        AutomatonWeights(2, 10, 19, alphabet="ternary")
    with pytest.raises(GraphError, match="dies out"):
        AutomatonWeights(2, 3, 9, rule=0, burn_in=1, alphabet="ternary")
    for rows, columns in ((0, 3), (2, 0), (-1, 3), (10**9, 3)):
        with pytest.raises(MuxflowError, match=f"a matrix of {rows} x {columns}; rows are from 1 to 65536, columns at"):
            AutomatonWeights(rows, columns, 9)
    with pytest.raises(GraphError, match="0 repeats; at least 1"):
        AutomatonWeights(2, 3, 9, repeats=0)
    op = AutomatonWeights(2, 3, 9)
    with pytest.raises(GraphError, match="one group at a time"):
        op.lanes(Ports((), op.infer()), Fold(1, 1, 2))


def test_saved_bits():
    for alphabet, bits in (("binary", 1), ("ternary", 2)):
        op = AutomatonWeights(5, 4, 24, burn_in=24, alphabet=alphabet)
        assert op.saved_bits(Ports((), op.infer())) == 20 * bits
