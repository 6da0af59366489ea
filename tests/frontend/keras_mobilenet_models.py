"""A small MobileNet in QKeras, for `keras_models.py`: hybrid banks as two convolutions, depthwise layers with strides."""

from muxflow.frontend.training.keras.zoo_mobilenet import mobilenet
from muxflow.frontend.training.mobilenet_config import MobilenetConfig


def mobilenet_hybrid():
    return mobilenet(MobilenetConfig((4, 8, 12), (2, 1, 2), classes=5, input_shape=(2, 8, 12)))


MODELS = {"mobilenet_hybrid": mobilenet_hybrid}
