"""Run a Keras 3 model for the proof: `python -m muxflow.frontend.keras.v3.predict MODEL FOLDER` (see `keras.child`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras

from muxflow.frontend.keras.child import Predictor, predict
from muxflow.frontend.keras.v3.export import Walk, read_model


def load(path: Path) -> Predictor:
    """Load the model, ready to predict."""
    model = read_model(path)
    walk = Walk(model)
    # Without a softmax at the end: the host computes it.
    last, index, _ = walk.outputs[0]._keras_history
    output = walk.outputs[0]
    if isinstance(last, keras.layers.Softmax):
        output = last._inbound_nodes[index].input_tensors[0]
    elif getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
        walk = Walk(model)
        output = walk.outputs[0]

    def model_of(tensors: list[Any]) -> Any:
        return keras.Model(walk.inputs, tensors)

    return Predictor(tuple(walk.inputs[0].shape[1:]), {**walk.tensors, "": output}, model_of)


if __name__ == "__main__":
    predict(sys.argv[1:], load)
