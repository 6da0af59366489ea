"""FINN's Python execution of a design's model; needs FINN in the process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import qonnx.core.onnx_exec as execution

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.hls.finn.dataflow import COUNTS
from muxflow.proof.execution import Tensor


class FinnExecution:
    """FINN's execution of a model, frame by frame: every tensor that has the name of one of the graph's streams.

    FINN holds codes as floats; they are compared as they are.
    """

    title = "FINN execution"
    name = "FINN"

    def __init__(self, model: Any, graph: Graph) -> None:
        self._model = model
        self._graph = graph
        weights = graph.weights()
        self._streams = [name for node in graph.nodes for name in node.outputs if name not in weights]
        self._counts: dict[str, int] = json.loads(model.get_metadata_prop(COUNTS))

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`."""
        frames = zip(*codes.values(), strict=True)
        found = [execute(self._model, dict(zip(codes, frame, strict=True))) for frame in frames]
        return {name: self._codes(name, found) for name in self._streams if name in found[0]}

    def _codes(self, name: str, found: Sequence[Mapping[str, IntArray]]) -> IntArray:
        """Return the codes of the graph: where FINN counts the equal signs of a product, each count stands for a sum."""
        values = np.stack([frame[name].reshape(self._graph.streams[name].shape) for frame in found])
        return 2 * values - self._counts[name] if name in self._counts else values


def execute(model: Any, frame: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Return every tensor of FINN's Python execution on one frame: codes by input, each of the input's shape."""
    given = {name: codes[None].astype(np.float32) for name, codes in frame.items()}
    tensors = execution.execute_onnx(model, given, return_full_exec_context=True)
    return {key: np.asarray(values) for key, values in tensors.items()}
