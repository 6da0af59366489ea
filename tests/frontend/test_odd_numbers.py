"""Numbers without sense in Python calls of the torch layers and quantizers: one message before anything is built."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.hybrid import hybrid_weight
from muxflow.frontend.training.joins import MuxJoin
from muxflow.frontend.training.layers import CFLOG, CellularAutomatonConv2d, conv_bn_act, quant_conv
from muxflow.frontend.training.quantizers import MOST_WEIGHTS, binary_weight, heq_step, heq_weight, unsigned_activation
from muxflow.frontend.training.thermometer import ThermometerEncoder

NO_NUMBERS = ("2", None, [2], True, float("nan"), float("inf"), 10**30)
NO_SIZES = (*NO_NUMBERS, 0, -1, 2.0, 2.5, 1e-45, 10**9)

SIZES: dict[str, Callable[[Any], Any]] = {
    "convolution: in_channels": lambda value: quant_conv(value, 4, 3),
    "convolution: out_channels": lambda value: quant_conv(2, value, 3),
    "convolution: kernel": lambda value: quant_conv(2, 4, value),
    "convolution: groups": lambda value: quant_conv(2, 4, 3, groups=value),
    "convolution: stride": lambda value: quant_conv(2, 4, 3, stride=value),
    "convolution: out_channels of CFLOG": lambda value: CFLOG(2, 4, value, 1, automaton={"ring": 30}),
    "batch norm: channels": lambda value: conv_bn_act(torch.nn.Identity(), value, 2),
    "bit-shift norm: channels": lambda value: BitShiftNorm2d(value, 0.25, 0.25),
    "MuxJoin: in_channels": lambda value: MuxJoin(value, 2),
    "MuxJoin: out_channels": lambda value: MuxJoin(2, value),
    "generated weights: in_channels": lambda value: CellularAutomatonConv2d(value, 4, ring=30),
    "generated weights: out_channels": lambda value: CellularAutomatonConv2d(2, value, ring=30),
}
BITS: dict[str, Callable[[Any], Any]] = {
    "activation quantizer": unsigned_activation,
    "activation quantizer of MuxJoin": lambda value: MuxJoin(2, 2, bits=value),
    "thermometer codes": lambda value: ThermometerEncoder(value, 2),
    "thermometer bits": lambda value: ThermometerEncoder(4, value),
    "hybrid bank": lambda value: hybrid_weight(2, value),
    "HEQ levels": heq_weight,
}
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "HEQ: momentum": lambda value: heq_weight(3, momentum=value),
    "binary weights": binary_weight,
    "thermometer: scale": lambda value: ThermometerEncoder(4, 2, value),
    "bit-shift norm: unit": lambda value: BitShiftNorm2d(2, value, 0.25),
    "bit-shift norm: step": lambda value: BitShiftNorm2d(2, 0.25, value),
    "bit-shift norm: deviation": lambda value: BitShiftNorm2d(2, 0.25, 0.25, deviation=value),
    "bit-shift norm: mean": lambda value: BitShiftNorm2d(2, 0.25, 0.25, mean=value),
}
AUTOMATON = ("rule", "ring", "seed", "burn_in")


def refused(make: Callable[[Any], Any], value: Any, says: str) -> None:
    with pytest.raises(MuxflowError) as caught:
        make(value)
    assert str(caught.value).startswith(says) and len(str(caught.value)) < 400


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    for value in NO_SIZES:
        refused(SIZES[name], value, name.split(" of ")[0])


@pytest.mark.parametrize("name", BITS)
def test_bits(name: str) -> None:
    for value in NO_SIZES:
        refused(BITS[name], value, name.split(" ")[0])


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str) -> None:
    for value in (*NO_NUMBERS, -(10**30)):
        if value is True and name == "binary weights":
            continue
        if value == 10**30 and name == "binary weights":
            value += 1  # that alone is no power of two
        refused(NUMBERS[name], value, name)


@pytest.mark.parametrize("name", AUTOMATON)
def test_automata(name: str) -> None:
    for value in ("2", [2], True, 2.0, float("nan"), -1):
        refused(lambda value: CellularAutomatonConv2d(2, 4, **{"ring": 30, name: value}), value, "cellular automaton: ")


def test_filters_of_a_hybrid_bank() -> None:
    for value in ("2", None, [2], True, 2.0, float("nan"), -1):
        refused(hybrid_weight, value, "hybrid bank: ")


def test_weights_that_are_too_many() -> None:
    with pytest.raises(MuxflowError, match=r"^convolution: weights: .* \(MOST_ELEMENTS\)"):
        quant_conv(1 << 16, 1 << 16, 3)
    for count in (0, MOST_WEIGHTS + 1):
        with pytest.raises(MuxflowError, match=r"^HEQ: a tensor of shape .*\(MOST_WEIGHTS\)"):
            heq_step(torch.zeros(1).expand(count), 3)


def test_numbers_that_make_sense() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in (*SIZES.values(), *NUMBERS.values()):
            make(1)
    heq_weight(5, momentum=0.0)
    binary_weight(0.5)
    hybrid_weight(0, 4)
