"""Runs a Keras 2 model for the proof: `python -m muxflow.frontend.keras_predict MODEL FOLDER`.

Each line on the standard input is a JSON list of tensor names; the images are in `inputs.npy` in the folder, channels
last. `outputs.npz` there then holds what `predict` gives for each name, and for "" the model's output (what a softmax at
the end reads: the host computes it). The answer is one line of JSON, {"error": null} or a message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.keras_export import describe, read_model


class Predictor:
    """A model whose inner tensors can be asked for by the names that its description gives them."""

    def __init__(self, path: Path) -> None:
        model = without_softmax(read_model(path))
        self._input_shape = model.input_shape[1:]
        self._tensors = {**describe(model).tensors, "": model.outputs[0]}
        self._input = model.inputs[0]
        # TensorFlow fuses convolution and bias in a compiled graph, and then knows no groups.
        self._eager = any(_is_grouped(layer) for layer in model.layers)
        self._plain = self._model([""])
        self._models: dict[tuple[str, ...], Any] = {}

    def _model(self, names: list[str]) -> Any:
        model = tf_keras.Model(self._input, [self._tensors[name] for name in names])
        model.compile(run_eagerly=self._eager)
        return model

    def run(self, names: list[str], images: np.ndarray[Any, Any]) -> dict[str, Any]:
        """The named tensors for a batch, channels last, and "", the model's output computed on its own.

        Raises MuxflowError naming the tensors that the model has not.
        """
        unknown = [name for name in names if name not in self._tensors]
        if unknown:
            raise MuxflowError(f"the model has no tensor {', '.join(unknown)}: the graph was not imported from it")
        x = images.reshape(len(images), *self._input_shape)
        found = {"": self._plain.predict(x, batch_size=len(x), verbose=0)}
        if names:
            model = self._models.setdefault(tuple(names), self._model(names))
            values = model.predict(x, batch_size=len(x), verbose=0)
            found |= dict(zip(names, values if len(names) > 1 else [values], strict=True))
        return found


def without_softmax(model: Any) -> Any:
    """model(..., softmax)   becomes   model(...)."""
    last = model.outputs[0].node.layer
    if isinstance(last, tf_keras.layers.Softmax):
        return tf_keras.Model(model.inputs, last.input)
    if getattr(last, "activation", None) is tf_keras.activations.softmax:
        last.activation = tf_keras.activations.linear
    return model


def _is_grouped(layer: Any) -> bool:
    return getattr(layer, "groups", 1) != 1


def main(arguments: list[str]) -> None:
    """Answers until the standard input ends."""
    path, folder = Path(arguments[0]), Path(arguments[1])
    predictor: Predictor | None = None
    for question in sys.stdin:
        answer: dict[str, Any] = {"error": None}
        try:
            predictor = predictor or Predictor(path)
            np.savez(folder / "outputs.npz", **predictor.run(json.loads(question), np.load(folder / "inputs.npy")))
        except MuxflowError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
