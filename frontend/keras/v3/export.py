"""Read Keras 3 and HGQ2 models and write descriptions: `python -m muxflow.frontend.keras.v3.export MODEL ...`.

A process of its own, because HGQ2 must not meet QKeras. Arguments and answers: see `keras.child`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hgq  # noqa: F401  (makes Keras know its layers)
import keras

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.keras.architecture import names_of
from muxflow.frontend.keras.child import (
    Description,
    channel_first,
    check_input,
    describe_files,
    read_file,
    written_outputs,
)
from muxflow.frontend.keras.layers import Call, Shape, write_layer
from muxflow.frontend.keras.v3.layers import LAYERS
from muxflow.frontend.keras.writer import TORCH, Writer


def known_classes() -> frozenset[str]:
    """List the classes and functions that a file may name: those of Keras, its operations among them, HGQ2 and Muxflow."""
    operations = {
        one.__name__: one for one in _subclasses(keras.Operation) if one.__module__.startswith("keras.src.ops.")
    }
    return names_of(keras, operations | vars(keras.dtype_policies))


def _subclasses(cls: Any) -> Iterator[Any]:
    for one in cls.__subclasses__():
        yield one
        yield from _subclasses(one)


def read_model(path: Path) -> Any:
    """Read a Keras 3 model; raises MuxflowError when the file holds none."""
    advice = "give a whole model of Keras 3 that model.save wrote, with layers of Keras and HGQ2 only"
    keras.utils.clear_session()  # names of layers that a file leaves out count up from one model to the next
    return read_file(path, lambda name: keras.models.load_model(name, compile=False), known_classes, advice)


class Walk:
    """The walk that describes a model call by call, those of models inside among them, and builds the same flat model beside it.

    `tensors`: of the flat model, by name; `inputs` and `outputs`: its own.
    """

    def __init__(self, model: Any) -> None:
        graph = _functional(model, f"model {model.name}")
        self.writer = Writer(TORCH)
        self.tensors: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self.inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in graph.inputs]
        shapes: dict[str, Shape] = {}
        for tensor, own in zip(self.inputs, graph.inputs, strict=True):
            layer = own._keras_history.operation
            check_input(layer.name, own.dtype)
            name = self.writer.unique(layer.name)
            shapes[name] = channel_first(tuple(tensor.shape))
            self._keep(name, tensor)
        self.outputs = self._walked(graph, self.inputs, "")
        written = [self._names[id(tensor)] for tensor in self.outputs]
        ranks = [len(tensor.shape) for tensor in self.outputs]
        outputs = written_outputs(self.writer, written, ranks)
        self.model = self.writer.model(model.name, shapes, outputs, self.tensors)

    def _keep(self, name: str, tensor: Any) -> None:
        self._names[id(tensor)] = name
        self.tensors.setdefault(name, tensor)  # a layer that does nothing shares the name of its input

    def _walked(self, graph: Any, inputs: list[Any], prefix: str) -> list[Any]:
        """Compute the flat model's tensors for the outputs of a model, given those for its inputs."""
        found = {id(own): tensor for own, tensor in zip(graph.inputs, inputs, strict=True)}
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    results = self._called(node, [found[id(tensor)] for tensor in node.input_tensors], found, prefix)
                    found |= {id(own): result for own, result in zip(node.output_tensors, results, strict=True)}
        return [found[id(tensor)] for tensor in graph.outputs]

    def _called(self, node: Any, inputs: list[Any], found: Mapping[int, Any], prefix: str) -> list[Any]:
        layer, name = node.operation, f"{prefix}{node.operation.name}"
        arguments, options = node.arguments.fill_in(found)
        training = bool(options.get("training"))
        if isinstance(layer, keras.Model):
            if training:
                raise UnsupportedError(f"{name}: called with training=True, so predict trains; call it without")
            return self._walked(_functional(layer, name), inputs, f"{name}/")
        results: list[Any] = keras.tree.flatten(layer(*arguments, **options))
        call = Call(
            layer,
            name,
            [self._names[id(tensor)] for tensor in inputs],
            [tuple(tensor.shape) for tensor in inputs],
            tuple(results[0].shape),
            training,
            inputs,
        )
        written = write_layer(self.writer, call, LAYERS)
        self.tensors |= call.inner
        for result in results:
            self._keep(written, result)
        return results


def _functional(model: Any, what: str) -> Any:
    """Return the model's graph of calls; raises UnsupportedError naming `what` when it has none."""
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        raise UnsupportedError(
            f"{what}: a model written as a class has no list of layers; use the functional or sequential form, "
            "with the input's shape"
        )
    return graph


def describe(model: Any) -> Description:
    """Describe a model; layers that are not supported are in it as such."""
    walk = Walk(model)
    return Description(walk.model, walk.tensors)


if __name__ == "__main__":
    describe_files(sys.argv[1:], lambda path: describe(read_model(path)).model)
