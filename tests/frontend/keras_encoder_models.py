"""Small encoders in QKeras, for `keras_models.py`: HEQ of 3, 5 and 7 levels, bit-shift norm, activations of 1 to 3 bits."""

import numpy as np
import tensorflow as tf
from tf_keras import Model

from muxflow.frontend.training.encoder_config import EncoderConfig
from muxflow.frontend.training.keras.encoder import HEQ, BitShiftNormalization
from muxflow.frontend.training.keras.zoo_encoder import encoder

SIZES = dict(widths=(4, 8, 8, 8), groups=2, classes=3, code=5, input_shape=(2, 16, 32))


def encoder_mixed():
    levels = (5, 3, 7, 3, 3, 3, 3, 3, 5, 3)
    return encoder(EncoderConfig(**SIZES, levels=levels, bits=(3, 2, 1, 2, 2, 2, 3, 2)))


def encoder_shared_bias():
    """The published step of 1/3, which is no exact float, and one bias a layer."""
    return encoder(EncoderConfig(**SIZES, scale="unit", bias_per="layer"))


def encoder_measured():
    return encoder(EncoderConfig(**SIZES, measured=(6, 7), levels=(3,), bits=(*(2,) * 8, 3, 2)))


MODELS = (encoder_mixed, encoder_shared_bias, encoder_measured)


def measure(net, x):
    """Give every bit-shift norm, in order, the statistics of what reaches it, and the shift that they ask for."""
    for layer in net.layers:
        if isinstance(layer, BitShiftNormalization):
            values = np.asarray(Model(net.input, layer.input)(x))
            layer.momentum = 0.0
            layer(values, training=True)
            layer.momentum = 0.9


def twins(folder):
    """What the layers make of random weights and sums, in training and after it, and the gradients of a weighted sum."""
    rng = np.random.default_rng(0)
    weights, pulls = (rng.normal(size=(3, 3, 4, 6)).astype(np.float32) for _ in range(2))
    found = {"weights": weights, "pulls": pulls}
    for levels in (3, 5, 7):
        w = tf.constant(weights)
        with tf.GradientTape() as tape:
            tape.watch(w)
            values = HEQ(levels)(w)
            total = tf.reduce_sum(values * pulls)
        found[f"heq{levels}"], found[f"dheq{levels}"] = values, tape.gradient(total, w)
    sums = rng.integers(-90, 90, (8, 5, 6, 6)).astype(np.float32) / 8
    sums *= np.array([1, 2, 1, 1, 3, 1], np.float32)
    pulls = rng.normal(size=sums.shape).astype(np.float32)
    found |= {"sums": sums, "pull": pulls}
    for bias_per in ("channel", "layer"):
        layer = BitShiftNormalization(1 / 8, 1 / 4, deviation=0.25, mean=0.5, bias_per=bias_per)
        x = tf.constant(sums)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            total = tf.reduce_sum(y * pulls)
        gradients = tape.gradient(total, [x, layer.beta, layer.gamma])
        found |= {f"{bias_per}_y": y, f"{bias_per}_after": layer(x), f"{bias_per}_shift": layer.shift}
        found |= {f"{bias_per}_{name}": part for name, part in zip(("dx", "dbeta", "dgamma"), gradients, strict=True)}
    np.savez(folder / "encoder_twins.npz", **{name: np.asarray(value) for name, value in found.items()})
