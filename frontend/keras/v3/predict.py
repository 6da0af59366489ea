"""Run a Keras 3 model for the proof: `python -m muxflow.frontend.keras.v3.predict MODEL FOLDER` (see `keras.child`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras

from muxflow.frontend.keras.child import HOST_FUNCTIONS, Predictor, predict
from muxflow.frontend.keras.v3.export import Walk, read_model


def load(path: Path) -> Predictor:
    """Load the model, ready to predict."""
    model = read_model(path)
    walk = Walk(model)
    # Without the function at the end that the host computes.
    ends = [layer for layer, _, _ in (output._keras_history for output in walk.outputs) if has_host_part(layer)]
    for layer in ends:
        layer.activation = keras.activations.linear
    if ends:
        walk = Walk(model)

    def model_of(tensors: list[Any]) -> Any:
        return keras.Model(walk.inputs, tensors)

    return Predictor(walk.inputs, [before_softmax(output) for output in walk.outputs], walk.tensors, model_of)


def has_host_part(layer: Any) -> bool:
    """Tell whether a layer's activation is one that the host computes at the end of a model."""
    functions = [getattr(keras.activations, name) for name in HOST_FUNCTIONS]
    return any(getattr(layer, "activation", None) is function for function in functions)


def before_softmax(output: Any) -> Any:
    """Return what a softmax layer at the end reads; any other output is itself."""
    last, index, _ = output._keras_history
    return last._inbound_nodes[index].input_tensors[0] if isinstance(last, keras.layers.Softmax) else output


if __name__ == "__main__":
    predict(sys.argv[1:], load)
