"""Run a Keras 2 model for the proof: `python -m muxflow.frontend.keras.v2.predict MODEL FOLDER` (see `keras.child`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tf_keras

from muxflow.frontend.keras.child import HOST_FUNCTIONS, Predictor, predict
from muxflow.frontend.keras.v2.export import describe, read_model


def load(path: Path) -> Predictor:
    """Load the model, ready to predict."""
    model = read_model(path)
    outputs = [without_host_part(output) for output in model.outputs]
    if any(own is not output for own, output in zip(outputs, model.outputs, strict=True)):
        model = tf_keras.Model(model.inputs, outputs)
    # TensorFlow fuses convolution and bias in a compiled graph, and then knows no groups.
    eager = any(getattr(layer, "groups", 1) != 1 for layer in model.layers)

    def model_of(tensors: list[Any]) -> Any:
        part = tf_keras.Model(model.inputs, tensors)
        part.compile(run_eagerly=eager)
        return part

    return Predictor(model.inputs, model.outputs, describe(model).tensors, model_of)


def without_host_part(output: Any) -> Any:
    """Return what the host's function at the end reads; one that is a layer's activation is taken from the layer."""
    last, functions = output.node.layer, [getattr(tf_keras.activations, name) for name in HOST_FUNCTIONS]
    if isinstance(last, tf_keras.layers.Softmax):
        return output.node.keras_inputs[0]
    if any(getattr(last, "activation", None) is function for function in functions):
        last.activation = tf_keras.activations.linear
    return output


if __name__ == "__main__":
    predict(sys.argv[1:], load)
