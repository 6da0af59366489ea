"""Keras 2 with QKeras and Keras 3 with HGQ2 in, integer graph out.

Keras runs in a process of its own (`keras_export`, `keras_v3_export`), which writes a neutral description: each
quantizer in it is the list of float32 numbers at which the quantizer itself jumps. From there on the import is that of
QONNX.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend import KERAS_SUFFIXES
from muxflow.frontend.importer.handlers import HANDLERS as ONNX_HANDLERS
from muxflow.frontend.importer.values import Value
from muxflow.frontend.importer.walk import Handler, Importer, ImportOptions, NodeStatus, attribute, model_name
from muxflow.frontend.keras.process import Generation, generation_of, keras_child
from muxflow.frontend.keras.v2.quantizers import import_steps


def _unsupported(importer: Importer, node: onnx.NodeProto) -> Value:
    """A layer that the child could not describe."""
    raise UnsupportedError(str(attribute(node, "message", "")))


HANDLERS: dict[str, Handler] = {**ONNX_HANDLERS, "Steps": import_steps, "Unsupported": _unsupported}


def describe_models(paths: Sequence[Path]) -> list[onnx.ModelProto | MuxflowError]:
    """The neutral descriptions of Keras models, all of one generation of Keras from one start of it (some seconds).

    A file that cannot be read gives its error in the list. Raises ToolError when what the generation needs is not
    installed or the child ends without an answer, MuxflowError naming the first file that is absent.
    """
    for path in paths:
        if not path.is_file():
            raise MuxflowError(
                f"model {path}: no such file; supported are .onnx (QONNX), {', '.join(KERAS_SUFFIXES)} (Keras 2 with QKeras, "
                "Keras 3 with HGQ2) and .npz (saved by Muxflow)"
            )
    found: dict[Path, onnx.ModelProto | MuxflowError] = {}
    readable: dict[Generation, list[Path]] = {}
    for path in dict.fromkeys(paths):
        try:
            readable.setdefault(generation_of(path), []).append(path)
        except UnsupportedError as error:
            found[path] = error
    for generation, own in readable.items():
        found |= zip(own, _describe(own, generation), strict=True)
    return [found[path] for path in paths]


def _describe(paths: Sequence[Path], generation: Generation) -> list[onnx.ModelProto | MuxflowError]:
    with tempfile.TemporaryDirectory(prefix="muxflow_keras_") as folder:
        outputs = [Path(folder) / f"{index}.onnx" for index in range(len(paths))]
        pairs = [str(part.resolve()) for pair in zip(paths, outputs, strict=True) for part in pair]
        with keras_child(f"keras.v{generation}.export", pairs, "Keras models", generation) as child:
            answers = [child.answer(f"model {path}") for path in paths]
        return [_described(output, answer) for output, answer in zip(outputs, answers, strict=True)]


def _described(output: Path, answer: dict[str, Any]) -> onnx.ModelProto | MuxflowError:
    if answer["error"] is None:
        return onnx.ModelProto.FromString(output.read_bytes())
    return (MuxflowError if answer["supported"] else UnsupportedError)(str(answer["error"]))


def _description(path: Path) -> onnx.ModelProto:
    (described,) = describe_models([path])
    if isinstance(described, MuxflowError):
        raise described
    return described


def graph_of(description: onnx.ModelProto, name: str, options: ImportOptions | None = None) -> Graph:
    """The integer graph of a description; raises UnsupportedError naming the first layer that is not supported."""
    return Importer(description, name, options or ImportOptions()).import_graph(HANDLERS)


def load_keras(path: Path, options: ImportOptions | None = None) -> Graph:
    """The integer graph of a model file of Keras 2 (QKeras) or Keras 3 (HGQ2).

    Raises UnsupportedError naming the first layer that is not supported, MuxflowError for a file that Keras cannot
    read, ToolError when the extra `qkeras`, or for Keras 3 HGQ2 in its folder, is not installed.
    """
    return graph_of(_description(Path(path)), model_name(Path(path)), options)


def check_description(
    description: onnx.ModelProto, name: str, options: ImportOptions | None = None
) -> list[NodeStatus]:
    """What of a description is supported, node by node, and what to do about the rest."""
    return Importer(description, name, options or ImportOptions()).statuses(HANDLERS)


def check_keras(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """`check_description` of a Keras model file; raises MuxflowError and ToolError like `load_keras`."""
    return check_description(_description(Path(path)), model_name(Path(path)), options)
