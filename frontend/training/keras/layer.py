"""What Muxflow's layers for Keras 2 share: how Keras finds them in a file, and straight-through estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.packages import install_extra

if hasattr(tf.keras, "ops"):  # Keras 3 only; the Keras 2 of tf_keras does not tell its version here
    raise ToolError(
        f"the Keras layers of Muxflow are made of Keras 2, but tf.keras is Keras {tf.keras.__version__} in this process; "
        f"set TF_USE_LEGACY_KERAS=1 before TensorFlow is imported ({install_extra('qkeras')}), and keep Keras 3 "
        "in a process of its own"
    )

PACKAGE = "muxflow"
Gradient = Callable[..., Any]

registered = tf.keras.utils.register_keras_serializable(package=PACKAGE)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def ceiling(x: Any) -> tuple[Any, Gradient]:
    """Round up, gradient of x: a straight-through estimator without the float noise of `x + (q(x) - x)`."""
    return tf.math.ceil(x), lambda gradient: gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def floor(x: Any) -> tuple[Any, Gradient]:
    """Round down, gradient of x."""
    return tf.math.floor(x), lambda gradient: gradient


@tf.custom_gradient  # type: ignore[untyped-decorator]
def rounded(x: Any) -> tuple[Any, Gradient]:
    """Round, gradient of x: the codes of values that carry float noise."""
    return tf.math.rint(x), lambda gradient: gradient
