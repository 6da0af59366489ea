"""Configurations of wrong types and numbers too small: one message that names the field."""

from dataclasses import replace

import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.compression import CompressionConfig
from muxflow.frontend.training.encoder_config import EncoderConfig
from muxflow.frontend.training.ern_config import ErnConfig
from muxflow.frontend.training.frame_decoder import DecoderConfig
from muxflow.frontend.training.mobilenet_config import MobilenetConfig
from muxflow.frontend.training.recipes import TrainConfig
from muxflow.frontend.training.zoo import MognetConfig
from muxflow.frontend.training.zoo_billnet import BillnetConfig
from muxflow.frontend.training.zoo_bnn import BnnConfig
from muxflow.frontend.training.zoo_radio import RadioConfig
from muxflow.frontend.training.zoo_residual import ResidualConfig

CONFIGS = (
    CompressionConfig,
    EncoderConfig,
    ErnConfig,
    DecoderConfig,
    MobilenetConfig,
    TrainConfig,
    MognetConfig,
    BillnetConfig,
    BnnConfig,
    RadioConfig,
    ResidualConfig,
)
LATER = ("rule", "ring", "burn_in", "automaton_seed", "weight_levels")
HOSTILE = (None, "x", b"x", True, 1.5, float("nan"), [None], (1, "x"), {}, object)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_a_field_of_another_type_is_one_message(config):
    """What is accepted is what the field is declared as: a whole number is a number, a choice is a text."""
    made = config("cnv") if config is BnnConfig else config()
    refused = 0
    for name, default in vars(made).items():
        for value in HOSTILE:
            try:
                replace(made, **{name: value})
            except MuxflowError:
                refused += 1
            else:
                assert value is None or isinstance(value, type(default) | str | float), (name, value)
    assert refused >= 7 * len(vars(made))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_a_size_without_sense_is_refused(config):
    """What is LATER is checked where the layers are made; a number of more digits than Python writes is refused at once."""
    made = config("cnv") if config is BnnConfig else config()
    for name, default in vars(made).items():
        for one in (10**10, 10**5000):
            value = one if not isinstance(default, tuple) else (*default[:-1], one) if default else (one,)
            if isinstance(default, bool | str | float) or (name in LATER and one == 10**10):
                continue
            with pytest.raises(MuxflowError) as caught:
                replace(made, **{name: value})
            assert len(str(caught.value)) < 400, name


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (MobilenetConfig, {"share": "a"}, "mobilenet: share is 'a'; give a number$"),
        (MobilenetConfig, {"widths": [8, 8.5]}, r"widths is \[8, 8.5\]; give a tuple, each a whole number of 64 bits$"),
        (
            MobilenetConfig,
            {"input_shape": (28, 28)},
            r"input_shape is \(28, 28\); give a tuple of 3, each a whole number of 64 bits$",
        ),
        (MobilenetConfig, {"measure": 3}, "mobilenet: measure is 3; give 'error' or 'loss'$"),
        (MobilenetConfig, {"classes": 0}, "mobilenet: classes = 0; use 1 to 65,536$"),
        (
            MobilenetConfig,
            {"size": 10**9},
            r"mobilenet: size = 1000000000; use 14,835,200 .* to 33,672,704 .*or 0 for",
        ),
        (MobilenetConfig, {"bits": 9}, "mobilenet: activations of 9 bits; supported are 1, 2, 3, 4$"),
        (EncoderConfig, {"bits": 9}, "encoder: bits is 9; give a tuple, each a whole number of 64 bits$"),
        (EncoderConfig, {"code": -1}, "encoder: code = -1; use 0 to 65,536$"),
        (EncoderConfig, {"widths": (8, 8, 0, 8)}, r"encoder: widths = \(8, 8, 0, 8\); use 1 to 65,536$"),
        (MognetConfig, {"ring": "x"}, "mognet: ring is 'x'; give a whole number of 64 bits or nothing$"),
        (
            MognetConfig,
            {"weight_levels": 1.5},
            "mognet: weight_levels is 1.5; give a whole number of 64 bits or 'binary'$",
        ),
        (MognetConfig, {"m_ratio": 1e308}, r"mognet: m_ratio = 1e\+308; use 0 to 16$"),
        (RadioConfig, {"layers": 20_000}, "radio VGG: layers = 20000; use 1 to 16$"),
        (CompressionConfig, {"most": 9}, "compression: most = 9; use 1 to 8$"),
        (CompressionConfig, {"average": 1.5}, "compression: average = 1.5; use 0 to 1$"),
        (CompressionConfig, {"rate": -1.0}, "compression: rate = -1.0; use a positive learning rate$"),
        (TrainConfig, {"epochs": 10**6 + 1}, "training: epochs = 1000001; use 1 to 1,000,000$"),
        (TrainConfig, {"flip": 1}, "training: flip is 1; give True or False$"),
    ],
)
def test_messages(config, given, message):
    with pytest.raises(MuxflowError, match=message):
        config(**given)
