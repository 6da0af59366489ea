"""The description of a Keras model: a `Model` whose quantizers are step functions.

Maps are channel first there, as the importer wants them. Operators of the domain "muxflow":

| operator | inputs | meaning |
|---|---|---|
| Steps | x, thresholds (R, K), codes (R, K + 1), scale (R,), ends (R, 2) | see below |
| MuxJoin, OrJoin, AutomatonWeights | as in `qonnx.ops` | as in `qonnx.ops` |
| Unsupported | whatever the layer reads | a layer that has no description; attribute `message` says why |

Steps is `scale * codes[number of thresholds that x reaches]` from one end to the other, both included; beyond it wraps
around, which no model may do. R is 1, or one row for each channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.frontend.keras.kernel import Kernel
from muxflow.frontend.keras.steps import LARGEST, Steps
from muxflow.frontend.model import MUXFLOW, STANDARD, Constant, Model, ModelInput, ModelNode

OPSET = 20
TENSORFLOW, TORCH = "TensorFlow", "torch"
"""What computes a model's predict; the description carries it as its producer."""


def to_channel_last(rank: int) -> tuple[int, ...]:
    """Return the order of axes that makes a channel-first tensor of a rank, batch included, channel last."""
    return (0, *range(2, rank), 1)


def to_channel_first(rank: int) -> tuple[int, ...]:
    """Return the order of axes that makes a channel-last tensor of a rank, batch included, channel first."""
    return (0, rank - 1, *range(1, rank - 1))


class Writer:
    """A collection of nodes and constants; the last tensor of each layer has the layer's name.

    `layer`, `kind`: name and class of the layer at hand, which its nodes have in messages.
    """

    def __init__(self, computed_by: str) -> None:
        self.computed_by = computed_by
        self.nodes: list[ModelNode] = []
        self.constants: dict[str, Constant] = {}
        self.layer = ""
        self.kind = ""
        self._names: set[str] = set()

    def unique(self, name: str) -> str:
        """Return the name, numbered when it is taken."""
        candidate, number = name, 2
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate

    def constant(self, values: npt.ArrayLike) -> str:
        """Write a constant and return its name."""
        name = self.unique("constant")
        self.constants[name] = Constant(np.ascontiguousarray(values))
        return name

    def weights(self, kernel: Kernel, rows: int = 0) -> str:
        """Write a layer's weights and return their name; `rows`: the axis of the outputs.

        They have codes where their quantizer says them.
        """
        name = self.unique("constant")
        self.constants[name] = kernel.constant(rows)
        return name

    def node(self, op_type: str, *inputs: str, domain: str = STANDARD, part: str = "", **attributes: Any) -> str:
        """Add a node of the layer at hand, or of a named part of it; returns the name of its output.

        Floats are kept as float32, the precision in which the model computes.
        """
        output = self.unique(f"{self.layer}/{part or op_type}")
        name = f"{self.layer}/{part}" if part else self.layer
        plain = {key: _plain(value) for key, value in attributes.items()}
        self.nodes.append(ModelNode(name, op_type, inputs, (output,), plain, domain, self.kind))
        return output

    def steps(self, x: str, rows: Sequence[Steps], part: str = "") -> str:
        """Write a quantizer, with one row for all or one for each channel; `part`: its name within a layer."""
        most = max(len(row.thresholds) for row in rows)
        grids = [row.grid() for row in rows]
        constants: list[npt.ArrayLike] = [
            [np.pad(row.thresholds, (0, most - len(row.thresholds)), constant_values=LARGEST) for row in rows],
            [np.pad(codes, (0, most + 1 - len(codes)), "edge") for codes, _ in grids],
            [scale for _, scale in grids],
            [(row.low, row.high) for row in rows],
        ]
        return self.node("Steps", x, *map(self.constant, constants), domain=MUXFLOW, part=part)

    def transposed(self, x: str, order: tuple[int, ...]) -> str:
        """Write the tensor with its axes in another order."""
        return self.node("Transpose", x, perm=order)

    def pad(self, x: str, pads: Sequence[int]) -> str:
        """Write zeros around the maps of `x`, cropped where negative; `pads`: before all spatial axes, then after all."""
        rank = len(pads) // 2
        return self.node("Pad", x, self.constant(np.array([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64)))

    def padding_of(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """Return what a `pad` reads and its pads, where a name is that of one's output and it only adds zeros."""
        node = next((node for node in self.nodes if name in node.outputs), None)
        if node is None or node.op_type != "Pad":
            return None
        given = self.constants[node.inputs[1]].value.tolist()
        pads = (*given[2 : len(given) // 2], *given[len(given) // 2 + 2 :])
        return (node.inputs[0], pads) if min(pads) >= 0 else None

    def mark(self) -> tuple[int, int]:
        """Mark what `unsupported` goes back to."""
        return len(self.nodes), len(self.constants)

    def unsupported(self, mark: tuple[int, int], inputs: list[str], message: str) -> str:
        """Put one node with a message in the place of everything written since the mark."""
        del self.nodes[mark[0] :]
        for name in list(self.constants)[mark[1] :]:
            del self.constants[name]
        return self.node("Unsupported", *inputs, domain=MUXFLOW, message=message)

    def end_layer(self) -> str:
        """Give the layer's last tensor the layer's name, so that proofs find it."""
        name = self.unique(self.layer)
        self.nodes[-1] = replace(self.nodes[-1], outputs=(name,))
        return name

    def model(
        self, name: str, inputs: dict[str, tuple[int | None, ...]], outputs: list[str], observable: Iterable[str]
    ) -> Model:
        """Return the finished model; `inputs`: shapes without the batch, None where a size is open; `observable`: see `Model`."""
        entries = tuple(ModelInput(entry, shape) for entry, shape in inputs.items())
        nodes = tuple(self.nodes)
        shown = frozenset(observable)
        return Model(name, nodes, entries, tuple(outputs), self.constants, OPSET, {}, self.computed_by, shown)


def _plain(value: Any) -> Any:
    """Return an attribute in Python's own types."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, float | np.floating):
        return float(np.float32(value))
    return int(value) if isinstance(value, int | np.integer) else value
