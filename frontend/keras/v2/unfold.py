"""Models inside models and pruning wrappers, laid out flat; runs in the process that holds TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras.utils import clone_model

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.keras.v2.classes import CLASSES, is_pruned, without_pruning


def unfolded(model: Any, what: str) -> Any:
    """Unfold models inside: model(a, inner(b, c), d)   becomes   model(a, inner/b, inner/c, d), of copied layers.

    Layers leave their pruning wrappers. The model itself stays whole; one without any of the two is returned as it is.
    Raises UnsupportedError naming `what`, or the model inside, when it is written as a class.
    """
    _check_has_layers(model, what)
    if not any(isinstance(layer, tf.keras.Model) or is_pruned(layer) for layer in model.layers):
        return model
    inputs = [tf.keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.node.layer.name) for t in model.inputs]
    outputs = _called(clone_model(model, CLASSES), inputs, "", set())
    return tf.keras.Model(inputs, outputs, name=model.name)


def _check_has_layers(model: Any, what: str) -> None:
    if not getattr(model, "_is_graph_network", False):
        raise UnsupportedError(
            f"{what}: a model written as a class has no list of layers; use the functional or sequential form, "
            "with the input's shape"
        )


def _called(model: Any, values: list[Any], prefix: str, met: set[int]) -> list[Any]:
    """Compute the model's outputs for symbolic inputs, each layer called anew; layers are named by the path to them."""
    tensors: dict[str, list[Any]] = {}

    def keep(key: str, value: Any) -> None:
        # Keras takes one from the list each time it is read.
        tensors[key] = [value] * model._tensor_usage_count[key]

    for tensor, value in zip(model.inputs, values, strict=True):
        keep(str(id(tensor)), value)
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments, options = node.map_arguments(tensors)
            if isinstance(node.layer, tf.keras.Model):
                results = _inner(node.layer, arguments, options, prefix, met)
            else:
                results = tf.nest.flatten(_fresh(without_pruning(node.layer), prefix, met)(*arguments, **options))
            for key, result in zip(node.flat_output_ids, results, strict=True):
                keep(str(key), result)
    return [tensors[str(id(tensor))].pop() for tensor in model.outputs]


def _inner(model: Any, arguments: Any, options: dict[str, Any], prefix: str, met: set[int]) -> list[Any]:
    path = f"{prefix}{model.name}"
    _check_has_layers(model, path)
    if options.get("training"):
        raise UnsupportedError(f"{path}: called with training=True, so predict trains; call it without")
    return _called(model, tf.nest.flatten(arguments), f"{path}/", met)


def _fresh(layer: Any, prefix: str, met: set[int]) -> Any:
    """Return the layer under its path's name, without the calls that it had in the model inside."""
    if id(layer) not in met:
        met.add(id(layer))
        layer._inbound_nodes.clear()
        layer._name = f"{prefix}{layer.name}"
    return layer
