"""Run a Keras 2 model for the proof: `python -m muxflow.frontend.keras.v2.predict MODEL FOLDER` (see `keras.child`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tf_keras

from muxflow.frontend.keras.child import Predictor, predict
from muxflow.frontend.keras.v2.export import describe, read_model


def load(path: Path) -> Predictor:
    """Load the model, ready to predict."""
    model = without_softmax(read_model(path))
    # TensorFlow fuses convolution and bias in a compiled graph, and then knows no groups.
    eager = any(getattr(layer, "groups", 1) != 1 for layer in model.layers)

    def model_of(tensors: list[Any]) -> Any:
        part = tf_keras.Model(model.inputs[0], tensors)
        part.compile(run_eagerly=eager)
        return part

    return Predictor(model.input_shape[1:], {**describe(model).tensors, "": model.outputs[0]}, model_of)


def without_softmax(model: Any) -> Any:
    """Cut off a softmax: model(..., softmax)   becomes   model(...)."""
    last = model.outputs[0].node.layer
    if isinstance(last, tf_keras.layers.Softmax):
        return tf_keras.Model(model.inputs, last.input)
    if getattr(last, "activation", None) is tf_keras.activations.softmax:
        last.activation = tf_keras.activations.linear
    return model


if __name__ == "__main__":
    predict(sys.argv[1:], load)
