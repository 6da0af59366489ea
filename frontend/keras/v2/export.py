"""Read Keras 2 models and write descriptions: `python -m muxflow.frontend.keras.v2.export MODEL OUTPUT ...`.

A process of its own, because TensorFlow is large and QKeras needs Keras 2 under the name `keras`. See `keras.child`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tf_keras

sys.modules["keras"] = tf_keras  # Keras 3 may be installed beside it; QKeras must not meet it

from qkeras import quantizers  # noqa: E402
from qkeras.utils import _add_supported_quantized_objects, load_qmodel  # noqa: E402

import muxflow.frontend.training.keras.encoder  # noqa: E402  (makes Keras know Muxflow's layers)
import muxflow.frontend.training.keras.ern  # noqa: E402
import muxflow.frontend.training.keras.hybrid  # noqa: E402
import muxflow.frontend.training.keras.mognet  # noqa: E402, F401
from muxflow.frontend.keras.architecture import names_of  # noqa: E402
from muxflow.frontend.keras.child import (  # noqa: E402
    Description,
    channel_first,
    check_input,
    describe_files,
    read_file,
    written_outputs,
)
from muxflow.frontend.keras.layers import Call, Shape, write_layer  # noqa: E402
from muxflow.frontend.keras.v2.classes import CLASSES, SCHEDULES  # noqa: E402
from muxflow.frontend.keras.v2.layers import LAYERS  # noqa: E402
from muxflow.frontend.keras.v2.unfold import unfolded  # noqa: E402
from muxflow.frontend.keras.writer import TENSORFLOW, Writer  # noqa: E402
from muxflow.frontend.training.keras.layer import PACKAGE  # noqa: E402

OWN = f"{PACKAGE}>"
"""What begins the names of Muxflow's classes where Keras looks for them."""


def known_classes() -> frozenset[str]:
    """List the classes and functions that a file may name: those of Keras, QKeras and Muxflow."""
    quantized: dict[str, Any] = {}
    _add_supported_quantized_objects(quantized)
    functions = {
        name: one for name, one in vars(quantizers).items() if getattr(one, "__module__", "") == quantizers.__name__
    }
    return names_of(tf_keras, quantized | functions | CLASSES) | SCHEDULES


def own_classes() -> dict[str, Any]:
    """List Muxflow's own classes by the names that `.h5` files have for those inside a layer of QKeras: without a package."""
    registered = tf_keras.utils.get_custom_objects()
    return {name.removeprefix(OWN): one for name, one in registered.items() if name.startswith(OWN)}


def read_model(path: Path) -> Any:
    """Read a Keras 2 model without models and pruning wrappers inside; raises MuxflowError when the file holds none."""
    advice = (
        "give a whole model of Keras 2 (TensorFlow with TF_USE_LEGACY_KERAS=1) that model.save wrote, with layers of "
        "Keras, QKeras and Muxflow only"
    )
    tf_keras.backend.clear_session()  # names of layers that a file leaves out count up from one model to the next
    model = read_file(
        path, lambda name: load_qmodel(name, CLASSES | own_classes(), compile=False), known_classes, advice
    )
    return unfolded(model, f"model {path}")


def describe(model: Any) -> Description:
    """Describe a model; layers that are not supported are in it as such."""
    writer = Writer(TENSORFLOW)
    names: dict[str, str] = {}
    tensors: dict[str, Any] = {}
    inputs: dict[str, Shape] = {}
    for tensor in model.inputs:
        layer = tensor.node.layer
        check_input(layer.name, layer.dtype)
        name = names[str(id(tensor))] = writer.unique(layer.name)
        inputs[name] = channel_first(tuple(tensor.shape))
        tensors[name] = tensor
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            call = Call(
                node.layer,
                node.layer.name,
                [names[str(key)] for key in node.flat_input_ids],
                [tuple(tensor.shape) for tensor in node.keras_inputs],
                _single(node.output_shapes),
                bool(node.call_kwargs.get("training")),
            )
            name = write_layer(writer, call, LAYERS)
            for key in node.flat_output_ids:
                names[str(key)] = name
            tensors.setdefault(name, node.outputs)  # a layer that does nothing shares the name of its input
    written = [names[str(id(tensor))] for tensor in model.outputs]
    outputs = written_outputs(writer, written, [len(tensor.shape) for tensor in model.outputs])
    return Description(writer.model(model.name, inputs, outputs, tensors), tensors)


def _single(shapes: Any) -> Shape:
    return tuple(shapes[0] if isinstance(shapes, list) else shapes)


if __name__ == "__main__":
    describe_files(sys.argv[1:], lambda path: describe(read_model(path)).model)
