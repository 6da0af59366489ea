"""What the makers of FINN nodes know of the design that they stand in, and what several of them need."""

from __future__ import annotations

from typing import Any

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import FIFO_DEPTH, frame_edges
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.hls.finn.model import ModelBuilder
from muxflow.hls.finn.streams import data_type

MVAU_STEPS = 1024
"""Steps over the columns that FINN's HLS unit takes at most: it asks for SIMD >= MW / 1024."""


class Conversion:
    """The state of the walk over a design's nodes.

    A grouped convolution's window, weights and converters become part of one FINN node, so that they are skipped where
    they stand; `absorbed` holds their names. `counts`: streams that FINN holds as (x + n) / 2, the number of equal signs
    among n, and their n: what its unit makes of signs times signs.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.graph = design.graph
        self.producers = self.graph.producers()
        self.readers = self.graph.consumers()
        self.builder = ModelBuilder(self.graph.name)
        self.held = frame_edges(self.graph)
        self.absorbed: set[str] = set()
        self.counts: dict[str, int] = {}

    def plan(self, node: Node) -> None:
        """Find the nodes that a FINN node of a Muxflow convolution takes in, and the streams that FINN holds as counts."""
        if self.is_ours(node):
            self.absorbed.update(before.name for before in self.before(node))
        elif self._signs(node) and not self.beyond_finn(node):
            columns = self.graph.ports(node).inputs[1].shape[1]
            self.counts.update(dict.fromkeys(self._behind(node), columns))

    def is_ours(self, node: Node) -> bool:
        """Tell whether a product with stored weights is a Muxflow convolution: in groups, or one that FINN's unit cannot do."""
        stored = isinstance(self.producers[node.inputs[1]].op, RomWeights)
        return stored and (node.op.attributes()["groups"] > 1 or self.beyond_finn(node))

    def beyond_finn(self, node: Node) -> bool:
        """Tell whether FINN's unit cannot do a product.

        It multiplies no bits, holds at most 1,024 steps of SIMD columns, and of signs times signs it gives a count, which only
        thresholds can read.
        """
        x, weights = self.graph.ports(node).inputs
        steps = weights.shape[1] // self.design.folds[node.name].simd
        if "BINARY" in (data_type(x), data_type(weights)) or steps > MVAU_STEPS:
            return True
        (*_, reader) = (self.readers[name] for name in self._behind(node))
        return self._signs(node) and not (len(reader) == 1 and self.rises(reader[0]))

    def rises(self, node: Node) -> bool:
        """Tell whether a node is a threshold as FINN has it: rising, the same for all elements or one row a channel."""
        op = node.op
        return (
            isinstance(op, Threshold)
            and not op.falling.any()
            and len(op.thresholds) in (1, self.graph.ports(node).inputs[0].channels)
        )

    def _signs(self, node: Node) -> bool:
        x, weights = self.graph.ports(node).inputs
        return x.bipolar and weights.bipolar

    def _behind(self, node: Node) -> list[str]:
        """List the stream that a product writes, and those after its width converters."""
        found = [node.outputs[0]]
        while len(readers := self.readers[found[-1]]) == 1 and isinstance(readers[0].op, WidthConverter):
            found.append(readers[0].outputs[0])
        return found

    def parts(self, node: Node) -> tuple[str, ...]:
        """List the design's nodes that become one in FINN, `node` last."""
        if not isinstance(node.op, MatrixVector):
            return (*(one.name for one in self.stored(node)), node.name)
        before = self.before(node) if self.is_ours(node) else []
        source = self.producers[node.inputs[1]]
        stored = [source] if isinstance(source.op, RomWeights) else []
        return tuple(part.name for part in (*before, *stored, node))

    def stored(self, node: Node) -> list[Node]:
        """List the memories whose weights a node reads."""
        sources = (self.producers.get(name) for name in node.inputs)
        return [one for one in sources if one is not None and isinstance(one.op, RomWeights)]

    def before(self, node: Node) -> list[Node]:
        """List the converters and the window in front of a product, nearest first.

        The converters only where there is a window before them.
        """
        found: list[Node] = []
        name = node.inputs[0]
        while name in self.producers:
            before = self.producers[name]
            if isinstance(before.op, SlidingWindow):
                return [*found, before]
            if not isinstance(before.op, WidthConverter):
                return []
            found.append(before)
            name = before.inputs[0]
        return []

    def kind(self, name: str) -> str:
        """Return the data type of a tensor."""
        return self.builder.types[name]

    def depths(self, node: Node) -> tuple[list[int], list[int]]:
        """Return the FIFO depths of a node's inputs and outputs; FINN takes the larger of a stream's two.

        What waits for an answer that comes once a frame gets a whole frame: the design's depth is what its own latencies
        leave to hold, and with FINN's, which are others, less than a frame could deadlock.
        """
        inputs = [self.design.depths[name] for name in node.inputs]
        for position, name in enumerate(node.inputs):
            if name in self.held and not isinstance(node.op, WidthConverter):
                inputs[position] = max(inputs[position], self.graph.streams[name].beats + FIFO_DEPTH)
        return inputs, [self.design.depths[name] for name in node.outputs]

    def shared(self, node: Node, inputs: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Return the attributes that all Muxflow nodes have."""
        names = node.inputs if inputs is None else inputs
        streams = [self.graph.streams[name] for name in names]
        return {
            "PE": self.design.folds[node.name].pe,
            "numInputVectors": [1, *streams[0].shape[:-1]],
            "NumChannels": [stream.channels for stream in streams],
            "inputDataTypes": [self.kind(name) for name in names],
        }

    def emit(self, kind: str, node: Node, attributes: dict[str, Any], inputs: list[str] | None = None) -> None:
        """Emit one FINN node for one of Muxflow's."""
        names = list(node.inputs) if inputs is None else inputs
        self.builder.add(kind, node.name, names, node.outputs, attributes, self.depths(node))
