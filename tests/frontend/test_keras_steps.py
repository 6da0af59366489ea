"""Step functions of one float32 number; needs no TensorFlow."""

import numpy as np
import pytest

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.keras.steps import LARGEST, Steps, find_period, find_steps


def uniform(bits, step, lo=0):
    """Half to even, clipped: a quantizer whose every threshold is known."""
    return lambda x: (np.clip(np.rint(x / np.float32(step)), lo, lo + 2**bits - 1) * np.float32(step)).astype(
        np.float32
    )


@pytest.mark.parametrize(("bits", "step", "lo"), [(1, 1.0, 0), (3, 0.25, -4), (8, 2.0**-7, -128), (12, 2.0**-4, -2048)])
def test_every_jump_to_the_last_bit(bits, step, lo):
    quantizer = uniform(bits, step, lo)
    steps = find_steps(quantizer, 10)
    codes, scale = steps.grid()
    assert scale == step
    assert np.array_equal(codes, np.arange(lo, lo + 2**bits))
    at = steps.thresholds
    assert np.array_equal(quantizer(at), steps.values[1:])
    assert np.array_equal(quantizer(np.nextafter(at, np.float32(-np.inf))), steps.values[:-1])
    # Half to even: the tie itself belongs to the even code.
    ties = ((codes[:-1] + 0.5) * step).astype(np.float32)
    odd = codes[1:] % 2 == 1
    assert np.array_equal(at[~odd], ties[~odd])
    assert np.array_equal(at[odd], np.nextafter(ties[odd], np.float32(np.inf)))


def test_values_that_are_far_apart_and_one_that_never_moves():
    steps = find_steps(lambda x: np.where(x >= 3, np.float32(4), np.float32(-0.5)), 10)
    assert steps.thresholds.tolist() == [3.0]
    codes, scale = steps.grid()
    assert (codes.tolist(), scale) == ([-1, 8], 0.5)
    still = find_steps(np.zeros_like, 10)
    assert still.thresholds.size == 0
    assert still.grid()[0].tolist() == [0]


def test_float_scale():
    scale = np.float32(0.0137)
    codes, unit = Steps(np.arange(15, dtype=np.float32), np.arange(-8, 8).astype(np.float32) * scale).grid()
    assert np.array_equal(codes, np.arange(-8, 8))
    assert unit == pytest.approx(0.0137)


def test_what_is_no_quantizer():
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match="two results for one input"):
        find_steps(lambda x: np.where(x >= rng.normal(), np.float32(1), np.float32(0)), 4)
    with pytest.raises(UnsupportedError, match="more than 65536 values"):
        find_steps(lambda x: x, 4)
    with pytest.raises(UnsupportedError, match=r"falls from 1 at .* to 0 at .*only rise"):
        find_steps(lambda x: (np.abs(x) < 1).astype(np.float32), 4)
    with pytest.raises(UnsupportedError, match="no multiples of one step"):
        Steps(np.float32([0, 1]), np.float32([0, 1, np.pi])).grid()
    powers = 2.0 ** np.arange(-16, 1)
    with pytest.raises(
        UnsupportedError, match=r"powers of two from 1/65536 to 1; up to 65,535 times .*a max_value of 2"
    ):
        Steps(powers.astype(np.float32), np.float32([0, *powers])).grid()


@pytest.mark.parametrize("lo", [-8, 0])
def test_the_period_of_a_sawtooth_around_0(lo):
    steps = find_period(lambda x: ((np.floor(4 * x) - lo) % 16 + lo).astype(np.float32) / 4, 3)
    assert np.array_equal(steps.grid()[0], np.arange(lo, lo + 16))
    assert steps.thresholds.tolist() == [code / 4 for code in range(lo + 1, lo + 16)]
    assert steps.low == lo / 4
    assert steps.high == np.nextafter(np.float32((lo + 16) / 4), np.float32(0))
    endless = find_period(lambda x: (x >= 1).astype(np.float32), 3)
    assert (endless.low, endless.high) == (-LARGEST, LARGEST)
