"""Reads Keras models and writes neutral descriptions: `python -m muxflow.frontend.keras_export MODEL OUTPUT ...`.

A process of its own, because TensorFlow is large and QKeras needs Keras 2 under the name `keras`. For each pair of
arguments one line of JSON goes to the standard output: {"error": null}, or a message when nothing was written.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tf_keras

sys.modules["keras"] = tf_keras  # Keras 3 may be installed beside it; QKeras must not meet it

import onnx  # noqa: E402
from qkeras.utils import load_qmodel  # noqa: E402

import muxflow.frontend.keras_mognet  # noqa: E402, F401  (makes Keras know our layers)
from muxflow.dataflow.errors import MuxflowError, UnsupportedError  # noqa: E402
from muxflow.dataflow.files import write_atomically  # noqa: E402
from muxflow.frontend.keras_layers import write_layer  # noqa: E402
from muxflow.frontend.keras_unfold import unfolded  # noqa: E402
from muxflow.frontend.keras_writer import TO_CHANNEL_LAST, Writer  # noqa: E402


@dataclass(frozen=True, eq=False)
class Description:
    """The neutral description of a model, and Keras' own tensor behind each of its named ones."""

    model: onnx.ModelProto
    tensors: dict[str, Any]


def read_model(path: Path) -> Any:
    """A Keras 2 model without models inside; raises MuxflowError when the file holds none."""
    try:
        model = load_qmodel(str(path), compile=False)
    except Exception as error:  # Keras raises whatever its readers meet first
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        raise MuxflowError(
            f"model {path}: Keras cannot read it ({reason}); give a whole model of Keras 2 (TensorFlow with "
            "TF_USE_LEGACY_KERAS=1) that model.save wrote, with layers of Keras, QKeras and Muxflow only"
        ) from error
    return unfolded(model, f"model {path}")


def describe(model: Any) -> Description:
    """The neutral description of a model; layers that are not supported are in it as such."""
    writer = Writer()
    names: dict[str, str] = {}
    tensors: dict[str, Any] = {}
    inputs: dict[str, tuple[int | None, ...]] = {}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                if node.layer.dtype != "float32":
                    raise UnsupportedError(
                        f"{node.layer.name} (InputLayer): numbers of type {node.layer.dtype}; supported is float32, so "
                        "leave dtype out"
                    )
                name = writer.unique(node.layer.name)
                inputs[name] = _channel_first(node.output_shapes)
            else:
                read = [names[str(key)] for key in node.flat_input_ids]
                name = write_layer(writer, node.layer, read, bool(node.call_kwargs.get("training")))
            for key in node.flat_output_ids:
                names[str(key)] = name
            tensors.setdefault(name, node.outputs)  # a layer that does nothing shares the name of its input
    outputs = []
    for tensor in model.outputs:
        writer.layer = "output"
        name = writer.unpadded(names[str(id(tensor))])
        outputs.append(writer.transposed(name, TO_CHANNEL_LAST) if len(tensor.shape) == 4 else name)
    return Description(writer.model(inputs, outputs), tensors)


def _channel_first(shape: Any) -> tuple[int | None, ...]:
    shape = tuple((shape[0] if isinstance(shape, list) else shape)[1:])
    return (shape[-1], *shape[:-1]) if len(shape) == 3 else shape


def main(arguments: list[str]) -> None:
    """Describes each model; what goes wrong with one does not stop the others."""
    for model, output in zip(arguments[::2], arguments[1::2], strict=True):
        answer: dict[str, Any] = {"error": None}
        try:
            write_atomically(Path(output), describe(read_model(Path(model))).model.SerializeToString())
        except MuxflowError as error:
            answer = {"error": str(error), "supported": not isinstance(error, UnsupportedError)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
