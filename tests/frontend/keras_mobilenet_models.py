"""Small MobileNets in QKeras, for `keras_models.py`: hybrid banks in pointwise layers and in all, strides in depthwise ones.

And what their banks make of weights, and of layers with fewer filters.
"""

import numpy as np
import tensorflow as tf

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.keras.hybrid import HybridBank
from muxflow.frontend.training.keras.zoo_mobilenet import mobilenet
from muxflow.frontend.training.mobilenet_config import MobilenetConfig


def mobilenet_hybrid():
    return mobilenet(MobilenetConfig((4, 8, 12), (2, 1, 2), classes=5, input_shape=(2, 8, 12)))


def mobilenet_all():
    """Wide enough for stem and classifier to be divided."""
    return mobilenet(MobilenetConfig((32, 32), (2, 1), banks="all", classes=12, input_shape=(2, 8, 8)))


MODELS = {"mobilenet_hybrid": mobilenet_hybrid, "mobilenet_all": mobilenet_all}


def twins(folder):
    """Weights of many sizes, one filter all zero, and their values: of a pointwise and of a depthwise kernel."""
    rng = np.random.default_rng(0)
    found = {}
    for name, shape in (("pointwise", (1, 1, 40, 30)), ("depthwise", (3, 3, 30, 1))):
        sizes = 2.0 ** rng.uniform(-18, 6, 30).reshape((1, 1, 1, 30) if name == "pointwise" else (1, 1, 30, 1))
        weights = rng.normal(0, 1, shape) * sizes
        weights *= sizes != sizes.flat[0]
        found[name] = weights = weights.astype(np.float32)
        for bits in (4, 8):
            found[f"{name}{bits}"] = HybridBank(10, bits, depthwise=name == "depthwise")(tf.constant(weights))
        try:
            HybridBank(31, 8, depthwise=name == "depthwise")(tf.constant(weights))
        except MuxflowError as error:
            found[f"{name} refused"] = str(error)
    np.savez(folder / "bank_twins.npz", **found)
