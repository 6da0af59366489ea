"""Proof against a Keras model itself, as its own predict computes it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MismatchError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.keras.process import Generation, generation_of, keras_child
from muxflow.frontend.keras.writer import TENSORFLOW, TORCH
from muxflow.frontend.qonnx.execution import Agreement, Progress, compare

TITLE = "Keras predict"
OUTPUT = ""
BACKENDS: dict[Generation, str] = {2: TENSORFLOW, 3: TORCH}


def rung_title(path: Path) -> str:
    """What the ladder calls the comparison with a model file."""
    return f"{TITLE} ({BACKENDS[generation_of(path)]})"


def compare_with_keras(path: Path, graph: Graph, codes: IntArray, progress: Progress | None = None) -> Agreement:
    """Runs a Keras model and its integer graph on the same images and compares all codes.

    Compared are the outputs of every quantizer, max pool and join, and the model's output (before a softmax at its end).
    Keras runs in a process of its own, on TensorFlow for Keras 2 and on torch for Keras 3.
    Raises MismatchError naming the first stream, image and index that differ, and both values, or saying that the graph
    was not imported from this model; UnsupportedError for a file of another Keras; ToolError when the extra `qkeras`, or
    for Keras 3 HGQ2 in its folder, is not installed.
    """
    names = list(dict.fromkeys(graph.tensors.values()))
    what, generation = f"model {path}", generation_of(path)
    with (
        tempfile.TemporaryDirectory(prefix="muxflow_keras_") as folder,
        keras_child(f"keras.v{generation}.predict", [str(path.resolve()), folder], what, generation) as child,
    ):

        def tensors(batch: IntArray) -> Mapping[str, npt.NDArray[Any]]:
            stream = graph.streams[graph.inputs[0]]
            np.save(Path(folder) / "inputs.npy", (batch * np.float64(stream.scale[0])).astype(np.float32))
            answer = child.ask(json.dumps(names))
            if answer["error"] is not None:
                raise MismatchError(f"{what}: {answer['error']}")
            with np.load(Path(folder) / "outputs.npz") as found:
                # The graph's names mean channels first, as everywhere in the importer; the output stays as it is.
                inner = {stream: _channels_first(found[name]) for stream, name in graph.tensors.items()}
                return {**inner, OUTPUT: found[OUTPUT]}

        return compare(graph, codes, tensors, TITLE, progress)


def _channels_first(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.moveaxis(values, -1, 1) if values.ndim == 4 else values
