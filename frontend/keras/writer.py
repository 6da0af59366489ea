"""The neutral description of a Keras model: an ONNX model whose quantizers are step functions.

Maps are (N, C, H, W) there, as the importer wants them. Operators of the domain "muxflow":

| operator | inputs | meaning |
|---|---|---|
| Steps | x, thresholds (R, K), codes (R, K + 1), scale (R,), ends (R, 2) | see below |
| MuxShift, OrJoin, CellularAutomatonWeights | as in `qonnx_ops` | as in `qonnx_ops` |
| Unsupported | whatever the layer reads | a layer that has no description; attribute `message` says why |

Steps is `scale * codes[number of thresholds that x reaches]` from one end to the other, both included; beyond it wraps
around, which no model may do. R is 1, or one row for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.keras.steps import LARGEST, Steps

OPSET = 20
TENSORFLOW, TORCH = "TensorFlow", "torch"
"""What computes a model's predict; the description carries it as its producer."""
TO_CHANNEL_LAST, TO_CHANNEL_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class Writer:
    """Collects nodes and constants; the last tensor of each layer has the layer's name."""

    def __init__(self, computed_by: str) -> None:
        self.computed_by = computed_by
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.layer = ""
        self._padded: dict[str, tuple[str, tuple[int, ...], str]] = {}
        self._names: set[str] = set()

    def unique(self, name: str) -> str:
        """The name, numbered when it is taken."""
        candidate, number = name, 2
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate

    def constant(self, values: npt.ArrayLike) -> str:
        """A constant's name."""
        name = self.unique("constant")
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, op_type: str, *inputs: str, domain: str = "", part: str = "", **attributes: Any) -> str:
        """Adds a node of the layer at hand, or of a named part of it; returns the name of its output."""
        output = self.unique(f"{self.layer}/{part or op_type}")
        name = f"{self.layer}/{part}" if part else self.layer
        self.nodes.append(helper.make_node(op_type, inputs, [output], name, domain=domain, **attributes))
        return output

    def steps(self, x: str, rows: Sequence[Steps], part: str = "") -> str:
        """A quantizer, with one row for all or one for each channel; `part`: its name within a layer."""
        most = max(len(row.thresholds) for row in rows)
        grids = [row.grid() for row in rows]
        constants: list[npt.ArrayLike] = [
            [np.pad(row.thresholds, (0, most - len(row.thresholds)), constant_values=LARGEST) for row in rows],
            [np.pad(codes, (0, most + 1 - len(codes)), "edge") for codes, _ in grids],
            [scale for _, scale in grids],
            [(row.low, row.high) for row in rows],
        ]
        return self.node("Steps", x, *map(self.constant, constants), domain="muxflow", part=part)

    def transposed(self, x: str, order: tuple[int, ...]) -> str:
        """The tensor with its axes in another order."""
        return self.node("Transpose", x, perm=order)

    def padded(self, x: str, pads: tuple[int, ...]) -> str:
        """A name for `x` with zeros around its maps (top, left, bottom, right), which only `padding_of` takes apart."""
        name = self.unique(self.layer)
        self._padded[name] = (x, pads, self.layer)
        return name

    def padding_of(self, name: str) -> tuple[str, tuple[int, ...] | None]:
        """What a name stands for: the tensor, and the zeros around it if there are any."""
        x, pads, _ = self._padded.get(name, (name, None, ""))
        return x, pads

    def check_unpadded(self, name: str) -> None:
        """Raises UnsupportedError when zeros were put around the maps of `name` and the reader cannot add them."""
        if name in self._padded:
            raise UnsupportedError(
                f"reads {self._padded[name][2]} (ZeroPadding2D); supported is a convolution with padding='valid' behind "
                "it, so give this layer padding='same', or swap the two"
            )

    def mark(self) -> tuple[int, int]:
        """What `unsupported` goes back to."""
        return len(self.nodes), len(self.constants)

    def unsupported(self, mark: tuple[int, int], inputs: list[str], message: str) -> str:
        """Puts one node with a message in the place of everything written since the mark."""
        del self.nodes[mark[0] :], self.constants[mark[1] :]
        return self.node("Unsupported", *inputs, domain="muxflow", message=message)

    def end_layer(self) -> str:
        """Gives the layer's last tensor the layer's name, so that proofs find it."""
        self.nodes[-1].output[0] = self.unique(self.layer)
        return str(self.nodes[-1].output[0])

    def model(self, inputs: dict[str, tuple[int | None, ...]], outputs: list[str]) -> onnx.ModelProto:
        """The finished model; `inputs`: shapes without the batch, None where a size is open."""

        def info(name: str, shape: list[int | str | None] | None) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            "keras",
            [info(name, ["N", *shape]) for name, shape in inputs.items()],
            [info(name, None) for name in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("muxflow", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name=self.computed_by)
