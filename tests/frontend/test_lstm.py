"""The quantised LSTM against its integer definition, its gradients and stages, bad options."""

import numpy as np
import pytest
import torch

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.configuration import seeded
from muxflow.frontend.training.lstm import PRECISIONS, QuantLstm


def codes(shape, seed):
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed))


def layer(seed=0, inputs=5, units=4, **options):
    lstm = seeded(lambda _: QuantLstm(inputs, units, **options), None, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        lstm.bias.normal_(generator=generator)
        lstm.threshold.uniform_(-0.1, 0.4, generator=generator)
    return lstm.eval()


def slow(lstm, x):
    """Compute h of every step with Python's integers and single gates, from the definition; x (N, T, inputs) codes."""
    k, a = lstm.gate_bits, lstm.fraction_bits
    top, narrow, most = 2**k - 1, 2 ** (k - 1) - 1, 2 ** (lstm.cell_bits - 1) - 1
    weights = [part.quant_weight().value.detach() / lstm.weight_scale for part in (lstm.input, lstm.recurrent)]
    w, u = (part.round().long().tolist() for part in weights)
    unit, bias = np.float32(lstm.scale * lstm.weight_scale), lstm.bias.detach().numpy()
    limits = lstm.integer_thresholds()

    def gate(row, x_t, h):
        total = sum(a * b for a, b in zip(w[row], x_t, strict=True)) + sum(
            a * b for a, b in zip(u[row], h, strict=True)
        )
        return np.float32(np.float32(total) * unit + bias[row])

    def sigmoid(z):
        return min(max(int(np.rint((z + np.float32(3)) * np.float32(2**k / 6))), 0), top)

    answers = []
    for clip in x.tolist():
        h, c, steps = [0] * lstm.units, [0] * lstm.units, []
        for x_t in clip:
            z = [[gate(part * lstm.units + j, x_t, h) for j in range(lstm.units)] for part in range(4)]
            i, f, o = ([sigmoid(value) for value in z[part]] for part in (0, 1, 3))
            g = [min(max(int(np.rint(value * 2 ** (k - 1))), -narrow), narrow) for value in z[2]]
            c = [
                min(max((f[j] * c[j] + (i[j] * g[j] << a)) >> k, -most), most)  # >> of Python is the floor
                for j in range(lstm.units)
            ]
            h = [int(o[j] * c[j] >= limits[j]) for j in range(lstm.units)]
            steps.append(h)
        answers.append(steps)
    return np.array(answers)


@pytest.mark.parametrize("weights", ["binary", "ternary"])
@pytest.mark.parametrize("bits", [(3, 6, 2), (2, 5, 2), (4, 9, 4)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_equals_its_integer_definition(weights, bits, seed):
    options = dict(zip(("gate_bits", "cell_bits", "fraction_bits"), bits, strict=True))
    lstm = layer(seed, units=8, weights=weights, last=False, **options)
    x = codes((8, 12, 5), seed)
    expected = slow(lstm, x)
    assert 0 < expected.mean() < 1
    with torch.no_grad():
        every = lstm(x * lstm.scale)
        lstm.last = True
        last = lstm(x * lstm.scale)
    assert np.array_equal(every.numpy(), expected * np.float32(lstm.scale))
    assert torch.equal(last, every[:, -1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_parameter_trains_in_every_stage(precision):
    lstm = layer(units=8).train()
    lstm.precision = precision
    (lstm(codes((16, 6, 5), 1) * lstm.scale) ** 2).sum().backward()
    for name, parameter in lstm.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


def test_stages_quantise_one_thing_after_the_other():
    lstm = layer()
    x = codes((16, 9, 5), 3) * lstm.scale
    answers = {}
    with torch.no_grad():
        for precision in PRECISIONS:
            lstm.precision = precision
            answers[precision] = lstm(x)
    levels = {precision: len(answer.unique()) for precision, answer in answers.items()}
    assert levels["state"] == 2 < levels["gates"]
    lstm.precision = "float"
    with torch.no_grad():
        lstm.input.weight.mul_(1.01)  # of the same sign: only real weights change
        assert not torch.equal(lstm(x), answers["float"])
        lstm.precision = "gates"
        assert torch.equal(lstm(x), answers["gates"])


def test_thresholds_are_integers_above_zero():
    lstm = layer()
    with torch.no_grad():
        lstm.threshold.copy_(torch.tensor([-1.0, 0.0, 0.125, 0.13]))
    assert lstm.integer_thresholds() == [1, 1, 16, 17]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "float"}, "weights 'float'; supported: 'binary', 'ternary'"),
        ({"gate_bits": 1}, "gate_bits 1; supported are 2 to 8"),
        ({"cell_bits": 17}, "cell_bits 17; supported are 2 to 16"),
        ({"fraction_bits": -1}, "fraction_bits -1; supported are 0 to 8"),
        ({"fraction_bits": 1.5}, r"fraction_bits 1\.5; supported are 0 to 8"),
        ({"gate_bits": "3"}, "gate_bits '3'; supported are 2 to 8"),
        ({"inputs": 0}, "LSTM: inputs 0; use a whole number from 1"),
        ({"units": -2}, "LSTM: units -2; use a whole number from 1"),
        ({"units": 2.5}, r"LSTM: units 2\.5; use a whole number from 1"),
        ({"inputs": 2**16, "units": 2**16}, "LSTM: weights"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(MuxflowError, match=message):
        QuantLstm(**{"inputs": 4, "units": 4} | options)


@pytest.mark.parametrize("shape", [(2, 0, 5), (0, 4, 5), (2, 4, 3), (2, 5), (2, 4, 5, 1)])
@pytest.mark.parametrize("training", [False, True])
def test_what_is_no_sequence_is_named(shape, training):
    """Of no steps, of other features, of maps."""
    with pytest.raises(MuxflowError, match=r"LSTM: an input of shape .*; expected \(N, steps, 5\) of one step or more"):
        layer().train(training)(torch.zeros(shape))
