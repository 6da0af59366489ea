"""What `keras_models.py` needs beside its models: parameters as after a training, and reference values of joins."""

import numpy as np
import tensorflow as tf
from tf_keras import Model

from muxflow.frontend.training.keras.mognet import MuxJoin, OrJoin


def settle_norm(layer, rng):
    for variable in layer.weights:
        low, high = (0.3, 2.0) if "variance" in variable.name or "gamma" in variable.name else (-0.5, 0.5)
        variable.assign(rng.uniform(low, high, variable.shape))


def settle(net, rng):
    """Batch-norm statistics and biases as after a training; weights of float layers on a grid."""
    for layer in net.layers:
        if isinstance(layer, Model):
            settle(layer, rng)
            continue
        if type(layer).__name__ in ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense"):
            for variable in layer.weights:
                variable.assign(rng.integers(-3, 4, variable.shape) / 4)
            continue
        if type(layer).__name__ == "PReLU":
            layer.alpha.assign(rng.integers(0, 9, layer.alpha.shape) / 8)
            continue
        if type(layer).__name__.endswith("Batchnorm"):
            settle_norm(layer.batchnorm, rng)
        if "BatchNormalization" in type(layer).__name__:
            settle_norm(layer, rng)
        elif type(layer).__name__ == "MuxJoin" and layer.threshold is not None:
            layer.threshold.assign(rng.uniform(0.1, 0.6, layer.threshold.shape))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.uniform(-1, 1, layer.bias.shape))


def joined(folder):
    """Joins on random codes, with a threshold for each channel: outputs, and gradients of their weighted sum."""
    for number, select in enumerate(("channel", "channel-mean", "element", "always", "or")):
        rng = np.random.default_rng(number)
        x = rng.integers(0, 8, (3, 4, 5, 6)) * rng.integers(0, 2, (3, 1, 1, 6)) / 8
        f, weights = rng.integers(0, 8, (3, 4, 5, 7)) / 8, rng.normal(size=(3, 4, 5, 7))
        x, f, weights = (tf.constant(part, tf.float32) for part in (x, f, weights))
        join = OrJoin() if select == "or" else MuxJoin(select)
        join([x, f])
        found = {"x": x, "f": f, "weights": weights}
        if join.weights:
            join.threshold.assign(rng.uniform(0.05, 0.95, 6))
            found["threshold"], found["integers"] = join.threshold, join.integer_thresholds()
        with tf.GradientTape() as tape:
            tape.watch((x, f))
            found["y"] = join([x, f])
            total = tf.reduce_sum(found["y"] * weights)
        gradients = tape.gradient(total, [x, f, *join.trainable_weights])
        found |= dict(zip(("dx", "df", "dthreshold"), gradients, strict=False))
        np.savez(folder / f"join_{select}.npz", **{name: np.asarray(value) for name, value in found.items()})


def whole_output(net, x, eager):
    net.compile(run_eagerly=eager)
    return net.predict(x.astype(np.float32), verbose=0)
