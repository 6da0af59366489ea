"""The encoder: most-significant-bits activations, bit-shift norm, shifts in place of thresholds, two outputs of one graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import muxflow
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.importer.shifts import bit_shift
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training import zoo_encoder
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d, freeze_bit_shifts
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.quantizers import UnsignedTensorQuant
from muxflow.frontend.training.scales import activation_scale
from muxflow.frontend.training.zoo_encoder import Encoder, EncoderConfig
from muxflow.proof.compare import compare

SMALL = EncoderConfig(
    widths=(8, 8, 8, 8),
    groups=2,
    levels=(5, 3, 7, 3, 3, 3, 3, 3, 5, 3),
    bits=(3, 2, 1, 2, 2, 2, 3, 2),
    classes=3,
    code=5,
    input_shape=(2, 16, 32),
)


@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("scale", ["power_of_two", "unit"])
def test_most_significant_bits_round_down(bits, scale):
    step = activation_scale(bits, scale)
    quantizer = UnsignedTensorQuant(bits, step, "FLOOR")
    codes = torch.arange(-3, 2**bits + 3)
    for inside in (0.01, 0.5, 0.99):
        met = quantizer((codes + inside) * step)[0] / step
        assert torch.allclose(met, codes.clamp(0, 2**bits - 1).float())
    values = [0, 1 / 3, 2 / 3, 1] if (bits, scale) == (2, "unit") else None  # as published
    assert values is None or torch.unique(quantizer(codes * step)[0]).tolist() == pytest.approx(values)


def sums(shape=(16, 6, 5, 5), seed=0, spread=40):
    random = np.random.default_rng(seed)
    return np.rint(random.normal(0, 1, shape) * spread * random.uniform(0.5, 2, (1, shape[1], 1, 1))).astype(np.int64)


@pytest.mark.parametrize("bias_per", ["channel", "layer"])
def test_bit_shift_norm_is_an_integer_sum_and_a_shift(bias_per):
    unit, step = 1 / 8, 1 / 4
    norm = BitShiftNorm2d(6, unit, step, deviation=0.25, mean=0.5, bias_per=bias_per)
    norm.momentum = 1.0
    x = sums()
    norm.train()
    norm(torch.from_numpy(x).float() * unit)
    # One standard deviation is asked to be one step: the shift is the middle channel's spread in bits.
    assert int(norm.shift) == round(float(np.median(np.log2(x.std(axis=(0, 2, 3)) / 1))))
    norm.eval()
    assert freeze_bit_shifts(norm) == 1
    shift = int(norm.shift)
    bias = np.rint(2**shift * 2 - x.mean(axis=(0, 2, 3)) if bias_per == "channel" else 2**shift * 2 - x.mean())
    with torch.no_grad():
        met = np.floor(norm(torch.from_numpy(x).float() * unit).numpy() / step)
    assert np.array_equal(met, (x + bias.astype(np.int64).reshape(-1, 1, 1)) >> shift)
    norm.train()
    assert torch.equal(torch.floor(norm(torch.from_numpy(x).float() * unit) / step), torch.from_numpy(met))
    state = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(torch.from_numpy(3 * x).float() * unit)
    assert all(torch.equal(value, norm.state_dict()[name]) for name, value in state.items())


def test_what_a_bit_shift_norm_asks_for_is_trained():
    norm = BitShiftNorm2d(6, 1 / 8, 1 / 4)
    norm.train()
    (norm(torch.from_numpy(sums()).float() / 8) ** 2).sum().backward()
    assert norm.weight.grad.abs().sum() > 0 and (norm.bias.grad != 0).all()


def test_sums_that_are_not_finite_are_named():
    for value in (float("nan"), float("inf")):
        with pytest.raises(
            MuxflowError, match="bit-shift norm of 2 channels: sums or parameters are not finite; lower"
        ):
            BitShiftNorm2d(2, 1.0, 1.0)(torch.full((2, 2, 3, 3), value))


def test_shifts_out_of_range():
    norm = BitShiftNorm2d(6, 1.0, 1.0, deviation=8.0)
    norm(torch.from_numpy(sums(spread=0.2)).float())
    assert int(norm.shift) == 0  # small sums are not multiplied
    with pytest.raises(MuxflowError, match=r"6 channels: a shift by 3[0-9] bits; supported are 0 to 31"):
        norm(torch.from_numpy(sums(spread=2**40)).float())
    norm.eval().load_state_dict({**norm.state_dict(), "shift": torch.tensor(-1)})
    with pytest.raises(MuxflowError, match="a shift by -1 bits"):
        norm(torch.zeros(1, 6, 1, 1))


@given(
    st.lists(st.integers(-200, 200), min_size=4, max_size=4),
    st.integers(0, 9),
    st.integers(-3, 3),
    st.integers(2, 9),
    st.integers(-90, 90),
    st.integers(1, 120),
)
@settings(max_examples=200, deadline=None)
def test_a_shift_gives_the_codes_of_its_thresholds(bias, shift, base, steps, lo, span):
    x = Stream((2, 2, 4), lo, lo + span)
    thresholds = (np.arange(1, steps + 1) << shift) - np.array(bias)[:, None]
    op = Threshold(thresholds, np.zeros(4, np.int64), base)
    found = bit_shift(op, x)
    assert found is not None
    every = np.arange(lo, lo + span + 1)[:, None].repeat(4, 1)
    assert np.array_equal(found.compute(every[:, None, None])[0][:, 0, 0], op.codes(every))


@pytest.mark.parametrize(
    ("thresholds", "falling"),
    [([[1, 5, 9]], 1), ([[1, 4, 7]], 0), ([[1, 5, 8]], 0), ([[5]], 0), ([[0, 4], [0, 8]], 0), ([[2, 2, 6, 6]], 0)],
)
def test_thresholds_that_are_no_shift_stay(thresholds, falling):
    op = Threshold(np.array(thresholds), np.full(len(thresholds), falling))
    assert bit_shift(op, Stream((1, 1, len(thresholds)), -20, 20)) is None


def kinds(graph):
    return [type(node.op) for node in graph.nodes]


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, bias_per="layer"),
        replace(SMALL, scale="unit", bits=(2,), levels=(3,)),
        replace(SMALL, norm="batch"),
        replace(SMALL, code=0, levels=(3,)),
        replace(SMALL, measured=(6, 7), levels=(*SMALL.levels[:-1], 5, 3, 7), bits=(*SMALL.bits, 3, 2)),
    ],
)
def test_torch_qonnx_and_graph_agree_on_both_outputs(tmp_path, config):
    model = randomise(seeded(Encoder, config, 1))
    path = export(model, tmp_path / "encoder.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    channels, height, width = config.input_shape
    pixels = np.random.default_rng(0).integers(0, 256, (12, height, width, channels))
    comparison = compare(graph, [TorchExecution(model, graph), QonnxExecution(path, graph)], pixels)
    assert [one.ties for one in comparison.outcomes] == [None, None]
    if config.code:
        logits, code = graph(pixels)
        assert (code.shape, set(np.unique(code))) == ((12, 1, 2, 5), {0, 1})  # 64 bits a patch in the ready-made ones
        assert [bool(graph.why_no_class(name)) for name in graph.outputs] == [False, True]
        values = graph.read_out((logits, code))[1]
        assert np.array_equal(values, code.transpose(0, 3, 1, 2))
    if config.norm == "bsn":
        bits = [layer.bits for layer in config.layers()]
        compared = bits.count(1)
        assert (kinds(graph).count(ShiftClip), kinds(graph).count(Threshold)) == (
            len(bits) - bits.count(0) - compared,
            compared,
        )
    else:
        assert ShiftClip not in kinds(graph)


def test_bad_choices_are_named():
    for options, message in (
        ({"widths": (4, 4, 8)}, "3 widths and 4 depths"),
        ({"groups": 3}, "3 groups do not divide the widths"),
        ({"input_shape": (1, 28, 28)}, "divisible by 16"),
        ({"levels": (3, 5)}, "one for each of 10 layers"),
        ({"levels": (4,)}, "of 3, 5, 7"),
        ({"bits": (4,)}, "of 1, 2, 3"),
        ({"norm": "group"}, "norm 'group'; supported: bsn, batch"),
        ({"bias_per": "pixel"}, "bias_per 'pixel'"),
        ({"classes": 0}, "classes = 0; use 1 to 65,536"),
    ):
        with pytest.raises(MuxflowError, match=message):
            replace(SMALL, **options)
    with pytest.raises(UsageError, match="encoder_1mb"):
        zoo_encoder.build("encoder_2mb")
    with pytest.raises(MuxflowError, match="unit 0"):
        BitShiftNorm2d(3, 0, 1)
