"""Products that a DSP block makes at once: what fits, and that each can be told from the others."""

import itertools

import pytest

from muxflow.dataflow.dsp_block import NARROW, WIDE, products_a_block
from muxflow.dataflow.graph.stream import Stream


def of_bits(bits, signed):
    return Stream((2, 2), *((-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)))


@pytest.mark.parametrize(
    ("weights", "inputs", "signed", "count"),
    [
        (8, 4, False, 2),
        (8, 8, False, 2),  # 16 + 8 + 1 bits: all of the wide factor
        (8, 8, True, 2),
        (9, 8, False, 1),
        (5, 4, False, 3),
        (4, 4, False, 3),
        (4, 4, True, 3),
        (3, 4, False, 4),
        (3, 17, False, 2),
        (3, 18, True, 2),
        (3, 18, False, 1),  # with a sign more than the narrow factor has
        (16, 8, False, 1),
        (30, 4, False, 1),
    ],
)
def test_how_many_a_block_makes(weights, inputs, signed, count):
    assert products_a_block(of_bits(weights, True), of_bits(inputs, signed)) == count


def fits(number, bits):
    return -(1 << bits - 1) <= number < 1 << bits - 1


@pytest.mark.parametrize("kinds", [*itertools.product((1, 2, 3), (False, True), (1, 2, 3), (False, True))], ids=str)
def test_every_product_is_found_again(kinds):
    """Two and three weights side by side, each with each, times every input: in plain arithmetic, as the kernel has it."""
    w, x = of_bits(*kinds[:2]), of_bits(*kinds[2:])
    apart, signed = w.bits + x.bits, w.signed or x.signed
    assert products_a_block(w, x) > 2
    for count in (2, 3):
        for weights in itertools.product(range(w.lo, w.hi + 1), repeat=count):
            factor = sum(weight << place * apart for place, weight in enumerate(weights))
            assert fits(factor, (count - 1) * apart + w.bits + 1)
            for code in range(x.lo, x.hi + 1):
                found, below = [], 0
                for place in range(count):
                    field = (factor * code >> place * apart) % (1 << apart)
                    field -= (1 << apart) * (signed and field >> apart - 1)
                    found.append(field + (below < 0))
                    below = field
                assert found == [weight * code for weight in weights]


def test_another_one_would_not_fit():
    for w_bits, x_bits, w_signed, x_signed in itertools.product(
        range(1, 17), range(1, 17), (False, True), (False, True)
    ):
        w, x = of_bits(w_bits, w_signed), of_bits(x_bits, x_signed)
        count = products_a_block(w, x)
        taken = [places * (w_bits + x_bits) + w_bits + 1 for places in (count - 1, count)]
        assert taken[0] <= WIDE < taken[1]
        assert x_bits + 1 <= NARROW
