"""Small MobileNets in QKeras, for `keras_models.py`: hybrid banks in pointwise layers and in all, strides in depthwise ones."""

from muxflow.frontend.training.keras.zoo_mobilenet import mobilenet
from muxflow.frontend.training.mobilenet_config import MobilenetConfig


def mobilenet_hybrid():
    return mobilenet(MobilenetConfig((4, 8, 12), (2, 1, 2), classes=5, input_shape=(2, 8, 12)))


def mobilenet_all():
    """Wide enough for stem and classifier to be divided."""
    return mobilenet(MobilenetConfig((32, 32), (2, 1), banks="all", classes=12, input_shape=(2, 8, 8)))


MODELS = {"mobilenet_hybrid": mobilenet_hybrid, "mobilenet_all": mobilenet_all}
