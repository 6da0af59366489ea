"""The layers of a plan as a Keras 2 model that hls4ml's Keras front end reads; for a process that holds tf_keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from muxflow.hls.hls4ml.plan import Convolution, IntegerLayer, Layer, MaxPool, Plan, inputs_of, to_codes, to_values

layers: Any = tf.keras.layers


@tf.keras.utils.register_keras_serializable(package="muxflow")
class MuxflowLayer(tf.keras.layers.Layer):  # type: ignore[misc]
    """An `IntegerLayer` on float tensors (N, *shape), channels last, value = code / 2^fraction."""

    def __init__(self, integer_layer: str, **options: Any) -> None:
        super().__init__(**options)
        self.integer_layer = integer_layer
        self.layer = IntegerLayer.from_json(integer_layer)

    def call(self, inputs: Any) -> Any:
        """Compute on codes."""
        values = tf.numpy_function(self._compute, inputs if isinstance(inputs, list) else [inputs], tf.float64)
        values.set_shape([None, *self.layer.ports[self.layer.output].shape])
        return tf.cast(values, self.compute_dtype)

    def _compute(self, *inputs: Any) -> Any:
        layer = self.layer
        codes = [to_codes(layer.ports[array], value) for array, value in zip(layer.inputs, inputs, strict=True)]
        return to_values(layer.ports[layer.output], layer.compute(*codes))

    def get_config(self) -> dict[str, Any]:
        """Return what a saved model holds of the layer."""
        return {**super().get_config(), "integer_layer": self.integer_layer}


def keras_model(plan: Plan) -> Any:
    """Build the functional model of a plan, (N, H, W, C) values an input, which computes in double precision, exactly.

    `Conv2D` and `MaxPooling2D` stand for hls4ml's own layers, `MuxflowLayer` for Muxflow's.
    """
    arrays = {name: layers.Input(plan.ports[name].shape, name=name, dtype="float64") for name in plan.inputs}
    for layer in plan.layers:
        inputs = [arrays[name] for name in inputs_of(layer)]
        arrays[layer.output] = _layer(layer, inputs)
    inputs, outputs = ([arrays[name] for name in names] for names in (plan.inputs, plan.outputs))
    return tf.keras.Model(inputs, outputs, name=plan.name)


def _layer(layer: Layer, inputs: list[Any]) -> Any:
    if isinstance(layer, IntegerLayer):
        ours = MuxflowLayer(layer.to_json(), name=layer.name, dtype="float64")
        return ours(inputs if len(inputs) > 1 else inputs[0])
    if isinstance(layer, MaxPool):
        return layers.MaxPooling2D(layer.kernel, name=layer.name, dtype="float64")(inputs[0])
    return _convolution(layer, inputs[0])


def _convolution(layer: Convolution, array: Any) -> Any:
    filters, height, width, _ = layer.weights.shape
    top, left, bottom, right = layer.pads
    if any(layer.pads):
        array = layers.ZeroPadding2D(((top, bottom), (left, right)), name=f"{layer.name}_pad", dtype="float64")(array)
    options = {"strides": layer.stride, "use_bias": False, "name": layer.name, "dtype": "float64"}
    module = layers.Conv2D(filters, (height, width), **options)
    values = module(array)
    module.set_weights([layer.weights.transpose(1, 2, 3, 0) * np.float64(2.0**-layer.fraction)])
    return values
