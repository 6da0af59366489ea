"""Small ERNs in QKeras, for `keras_models.py`: thermometer, binary weights of both scales, half-wave, strided blocks."""

import numpy as np
from tf_keras import Model, layers

from muxflow.frontend.training.ern_config import ErnConfig
from muxflow.frontend.training.keras.zoo_ern import ern

SIZES = dict(widths=(4, 8), stem=(2, 1), stem_width=4, classes=5, input_shape=(2, 8, 12), codes=5)


def ern_basic():
    return ern(ErnConfig(**SIZES, blocks=(1, 2)))


def ern_bottleneck():
    """The published step of 2/3, which is no exact float."""
    return ern(ErnConfig(**SIZES, blocks=(2, 1), bottleneck=True, scale="unit"))


MODELS = {make.__name__: make for make in (ern_basic, ern_bottleneck)}


def measure(net, x):
    """Give every batch norm, in order, the statistics of what reaches it: sums times 1/32 are small."""
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            values = np.asarray(Model(net.input, layer.input)(x))
            layer.moving_mean.assign(values.mean((0, 1, 2)))
            layer.moving_variance.assign(values.var((0, 1, 2)) + 1e-4)
            layer.gamma.assign(np.full(values.shape[-1], 0.6))
            layer.beta.assign(np.full(values.shape[-1], 0.5))
