"""Classes that files of Keras 2 hold beside Keras' own and QKeras'; runs in the process that holds TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras import QDense
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import PruneLowMagnitude
from tf_keras import layers

NORM = tuple(
    f"{kind}_{part}"
    for kind in ("beta", "gamma", "moving_mean", "moving_variance")
    for part in ("initializer", "regularizer", "constraint")
)
NORM_OPTIONS = frozenset(("axis", "momentum", "epsilon", "center", "scale", *NORM))
"""Of a configuration that holds those of both layers, what is the batch norm's."""


class QDenseBatchnorm(QDense):  # type: ignore[misc]
    """QKeras' dense layer whose kernel and bias hold a batch norm before they are quantized, at inference.

    Newer versions of QKeras write it; configuration and weights are theirs.
    """

    def __init__(self, units: int, ema_freeze_delay: Any = None, folding_mode: str = "", **options: Any) -> None:
        norm = {name: options.pop(name) for name in NORM_OPTIONS & set(options)}
        super().__init__(units, **options)
        self.batchnorm = layers.BatchNormalization(**norm)
        self._folding = {"ema_freeze_delay": ema_freeze_delay, "folding_mode": folding_mode}

    def build(self, input_shape: Any) -> None:
        """Make the weights of both layers, and the count of training steps."""
        super().build(input_shape)
        self.batchnorm.build((*input_shape[:-1], self.units))
        self._iteration = tf.Variable(-1, trainable=False, name="iteration", dtype=tf.int64)

    def get_folded_weights(self) -> tuple[Any, Any]:
        """Compute kernel and bias with the batch norm's moving statistics in them, not yet quantized."""
        norm = self.batchnorm
        factor = tf.math.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.gamma is not None:
            factor = factor * norm.gamma
        shift = (self.bias if self.use_bias else 0.0) - norm.moving_mean
        bias = factor * shift
        return factor * self.kernel, bias if norm.beta is None else bias + norm.beta

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Compute the layer at inference."""
        kernel, bias = self.get_folded_weights()
        if self.kernel_quantizer is not None:
            kernel = self.kernel_quantizer_internal(kernel)
        if self.bias_quantizer is not None:
            bias = self.bias_quantizer_internal(bias)
        result = tf.keras.backend.bias_add(tf.keras.backend.dot(inputs, kernel), bias)
        return result if self.activation is None else self.activation(result)

    def get_config(self) -> dict[str, Any]:
        """Return the options of both layers, under the layer's own name."""
        return {**self.batchnorm.get_config(), **super().get_config(), **self._folding}


def is_pruned(layer: Any) -> bool:
    """Tell whether a layer is tensorflow_model_optimization's wrapper of one that is pruned in training."""
    return isinstance(layer, PruneLowMagnitude)


def without_pruning(layer: Any) -> Any:
    """Return the layer inside a pruning wrapper, with the weights that the wrapper computes with; any other as it is."""
    if not is_pruned(layer):
        return layer
    for weight, mask, _ in layer.pruning_vars:
        weight.assign(weight * mask)
    return layer.layer


CLASSES: dict[str, type] = {"QDenseBatchnorm": QDenseBatchnorm, "PruneLowMagnitude": PruneLowMagnitude}
SCHEDULES = frozenset(("ConstantSparsity", "PolynomialDecay"))
"""What a pruning wrapper names of its training."""
