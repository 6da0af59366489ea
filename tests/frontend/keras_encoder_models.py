"""Small encoders in QKeras, for `keras_models.py`: HEQ of 3, 5 and 7 levels, bit-shift norm, activations of 1 to 3 bits."""

import numpy as np
from tf_keras import Model

from muxflow.frontend.training.encoder_config import EncoderConfig
from muxflow.frontend.training.keras.encoder import BitShiftNormalization
from muxflow.frontend.training.keras.zoo_encoder import encoder

SIZES = dict(widths=(4, 8, 8, 8), groups=2, classes=3, code=5, input_shape=(2, 16, 32))


def encoder_mixed():
    levels = (5, 3, 7, 3, 3, 3, 3, 3, 5, 3)
    return encoder(EncoderConfig(**SIZES, levels=levels, bits=(3, 2, 1, 2, 2, 2, 3, 2)))


def encoder_shared_bias():
    """The published step of 1/3, which is no exact float, and one bias a layer."""
    return encoder(EncoderConfig(**SIZES, scale="unit", bias_per="layer"))


MODELS = (encoder_mixed, encoder_shared_bias)


def measure(net, x):
    """Give every bit-shift norm, in order, the statistics of what reaches it, and the shift that they ask for."""
    for layer in net.layers:
        if isinstance(layer, BitShiftNormalization):
            values = np.asarray(Model(net.input, layer.input)(x))
            layer.momentum = 0.0
            layer(values, training=True)
            layer.momentum = 0.9
