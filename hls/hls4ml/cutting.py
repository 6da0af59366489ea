"""An integer graph cut into the layers of an hls4ml model: its own where it has exact ones, Muxflow's elsewhere."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from math import frexp, log2

import numpy as np

from muxflow.dataflow.errors import MuxflowWarning, UnsupportedError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.hls4ml.plan import Convolution, IntegerLayer, Layer, MaxPool, Plan, Port, check_ends
from muxflow.hls.names import identifiers

DOUBLE_BITS = 53
"""Bits that the doors of hls4ml's simulation, floating-point numbers, hold exactly."""


def plan(graph: Graph, *, standard_layers: bool = True) -> Plan:
    """Plan the layers that compute what a graph and its readout compute, values in and values out.

    Dense convolutions and maximum pools are hls4ml's own, or Muxflow's without `standard_layers`; every other node becomes a
    layer of Muxflow's, together with its weight source, its sliding window or its channel select. Arrays whose scale is a
    power of two hold values, the others codes; a warning names the input or output where codes, or rounded logits, are
    what the user sees.
    Raises UnsupportedError where the readout permutes the output.
    """
    check_ends(graph)
    _check_rank(graph)
    return _Planner(_without_forks(graph), standard_layers).plan()


class _Planner:
    def __init__(self, graph: Graph, standard_layers: bool) -> None:
        self.graph, self.standard_layers = graph, standard_layers
        self.producers, self.readers = graph.producers(), graph.consumers()
        self.weights = graph.weights()
        streams = identifiers(graph.streams, ("input", "output"))
        self.array = streams
        self.ports: dict[str, Port] = {}
        self.layers: list[Layer] = []

    def plan(self) -> Plan:
        graph = self.graph
        inputs = tuple(map(self._open, graph.inputs))
        groups = {node.name: self._members(node) for node in graph.nodes if not self._absorbed(node)}
        for node in graph.nodes:
            if node.name in groups:
                self._add(node, groups[node.name])
        outputs = tuple(map(self._close, graph.outputs))
        return Plan(graph.name, tuple(self.layers), self.ports, inputs, outputs)

    def _open(self, name: str) -> str:
        """Add the layer that turns the values of the model's input into codes, whatever type the user gave the input."""
        stream = self.graph.streams[name]
        fraction = _fraction(stream)
        if fraction is None and stream.scale:
            warnings.warn(
                f"{self.graph.name}: input {name} has scale {stream.scale} and offset {stream.offset}, which no "
                "fixed-point type holds: the model takes codes, as `muxflow.frontend.floats.image_codes` makes them",
                MuxflowWarning,
                stacklevel=4,
            )
        bits, signed = width(stream.lo, stream.hi)
        least = -(1 << bits - 1) if signed else 0
        every = Stream(stream.shape, least, least + (1 << bits) - 1)
        inside = self.array[name]
        outside = f"{inside}_values"
        clips = not stream.bipolar and (stream.lo, stream.hi) != (every.lo, every.hi)
        clip = Node(f"{inside}_clip", ShiftClip(np.zeros(1, np.int64), 0, stream.lo, stream.hi), (outside,), (inside,))
        self.ports[outside] = Port(every if clips else _bare(stream), fraction or 0)
        self.ports[inside] = Port(_bare(stream), fraction or 0)
        self._integer(f"{inside}_codes", (clip,) if clips else (), (outside,), inside, rounds=True)
        return outside

    def _close(self, name: str) -> str:
        """Add the layer that gives the user an output: its logits, or its codes as they are where it is one of several.

        hls4ml's front ends know an output by the layer that nothing reads, and take them in the order of the layers.
        """
        array, several = self.array[name], len(self.graph.outputs) > 1
        if name in self.graph.readouts:
            return self._read_out(array, self.graph.readouts[name], f"{array}_logits" if several else "logits")
        if not several:
            return array
        (outside,) = identifiers((f"{array}_values",), self.ports).values()
        self.ports[outside] = self.ports[array]
        self._integer(outside, (), (array,), outside)
        return outside

    def _absorbed(self, node: Node) -> bool:
        """Tell whether a node is part of the layer of its only reader."""
        readers = [reader for name in node.outputs for reader in self.readers[name]]
        part = node.op.folds_with_reader or isinstance(node.op, ChannelSelect)
        return part and len(readers) == 1 and not set(node.outputs) & set(self.graph.outputs)

    def _members(self, node: Node) -> list[Node]:
        """Return the node, after those that are part of its layer."""
        found: list[Node] = []
        for name in node.inputs:
            producer = self.producers.get(name)
            if producer is not None and self._absorbed(producer):
                found += self._members(producer)
        return [*found, node]

    def _add(self, node: Node, members: list[Node]) -> None:
        outputs = {name for member in members for name in member.outputs}
        inputs = tuple(dict.fromkeys(n for member in members for n in member.inputs if n not in outputs))
        arrays = tuple(self.array[name] for name in inputs)
        if not self.standard_layers:
            self._ours(node, members, arrays)
        elif isinstance(node.op, MatrixVector) and self._dense(node, members):
            self._convolution(node, members, arrays[0])
        elif isinstance(node.op, Pool) and self._max_pool(node):
            name = self.array[node.outputs[0]]
            self.ports[name] = Port(_bare(self.graph.streams[node.outputs[0]]), self.ports[arrays[0]].fraction)
            self.layers.append(MaxPool(name, arrays[0], name, node.op.kernel))
        else:
            self._ours(node, members, arrays)

    def _ours(self, node: Node, members: list[Node], arrays: tuple[str, ...]) -> None:
        (name,) = node.outputs
        stream = self.graph.streams[name]
        output = self.array[name]
        self.ports[output] = Port(_bare(stream), _fraction(stream) or 0)
        renamed = {stream: array for stream, array in self.array.items()}
        nodes = tuple(
            Node(
                self.array.get(member.name, member.name),
                member.op,
                tuple(renamed[n] for n in member.inputs),
                tuple(renamed[n] for n in member.outputs),
            )
            for member in members
        )
        self._integer(output, _with_forks(nodes, arrays), arrays, output)

    def _integer(
        self, name: str, nodes: tuple[Node, ...], inputs: tuple[str, ...], output: str, *, rounds: bool = False
    ) -> None:
        ports = {array: self.ports[array] for array in (*inputs, output)}
        streams = {array: self.ports[array].stream for array in inputs}
        # Without nodes the codes that come in are the output.
        graph = Graph(name, (), streams, inputs, (output,) if nodes else inputs)
        self.layers.append(IntegerLayer(name, with_nodes(graph, nodes, "forked"), output, ports, rounds))

    def _max_pool(self, node: Node) -> bool:
        assert isinstance(node.op, Pool)
        shape = self.graph.streams[node.inputs[0]].shape
        return node.op.mode == "max" and not any(
            size % step for size, step in zip(shape[:2], node.op.kernel, strict=True)
        )

    def _dense(self, node: Node, members: list[Node]) -> bool:
        assert isinstance(node.op, MatrixVector)
        windows = [member.op for member in members if isinstance(member.op, SlidingWindow)]
        plain = all(
            window.dilation == (1, 1)
            and window.pads[:2] == window.pads[2:]
            and (window.pad_code == 0 or not any(window.pads))
            for window in windows
        )
        stored = any(isinstance(member.op, RomWeights) for member in members)
        first = self.graph.streams[members[0].inputs[0] if windows else node.inputs[0]]
        return plain and stored and node.op.groups == 1 and len(first.shape) == 3

    def _convolution(self, node: Node, members: list[Node], array: str) -> None:
        window = next((member.op for member in members if isinstance(member.op, SlidingWindow)), None)
        matrix = next(member.op for member in members if isinstance(member.op, RomWeights)).weights
        height, columns, channels = self.ports[array].stream.shape
        if window is None:
            kernel = (1, 1) if matrix.shape[1] == channels else (height, columns)
            window = SlidingWindow(kernel)
        (name,) = node.outputs
        output, stream, before = self.array[name], self.graph.streams[name], self.ports[array].fraction
        wanted = _fraction(stream)
        fraction = 0 if wanted is None else wanted - before
        self.ports[output] = Port(_bare(stream), before + fraction)
        weights = matrix.reshape(len(matrix), *window.kernel, channels)
        self.layers.append(Convolution(output, array, output, weights, fraction, window.stride, window.pads))

    def _read_out(self, array: str, readout: Readout, layer: str) -> str:
        """Add the layer after the last one: logits = scale * code + offset, in a fixed-point type that holds them."""
        port = self.ports[array]
        shape = port.stream.shape
        positions = np.arange(port.stream.size).reshape(shape)
        channel_first = positions.transpose(2, 0, 1).reshape(-1)
        if list(readout.order) not in (channel_first.tolist(), positions.reshape(-1).tolist()):
            raise UnsupportedError(
                f"{self.graph.name}: the model's output permutes the last layer's elements; hls4ml gives them in their "
                "own order: let the model end in the map or in (N, classes)"
            )
        factors, offsets = (np.broadcast_to(np.array(part), shape[-1:]) for part in (readout.scale, readout.offset))
        largest = float(np.max(np.abs(factors) * max(abs(port.stream.lo), abs(port.stream.hi)) + np.abs(offsets)))
        most = DOUBLE_BITS - 2 - max(0, frexp(largest)[1])
        needed = max(_bits_after_point(value) for value in (*factors, *offsets))
        if needed > most:
            warnings.warn(
                f"{self.graph.name}: the logits need {needed} bits after the point, {most} are kept: layer {layer} rounds "
                f"its factors to 2^-{most}",
                MuxflowWarning,
                stacklevel=5,
            )
        fraction = min(needed, most)
        scaled = [np.rint(part * 2.0**fraction).astype(np.int64) for part in (factors, offsets)]
        scale = Scale(scaled[0])
        (product,) = scale.infer(port.stream)
        lowest, highest = product.lo + int(scaled[1].min()), product.hi + int(scaled[1].max())
        add = ShiftClip(scaled[1], 0, lowest, highest)
        (output,) = identifiers((layer,), self.ports).values()
        self.ports[output] = Port(
            add.infer(product)[0], fraction, flat=len(readout.shape) == 1 and port.stream.pixels == 1
        )
        scaled_name = f"{output}_product"
        nodes = (Node(f"{output}_scale", scale, (array,), (scaled_name,)), Node(output, add, (scaled_name,), (output,)))
        self._integer(output, nodes, (array,), output)
        return output


def _check_rank(graph: Graph) -> None:
    """Raise UnsupportedError for windows of one or three axes, which the front ends' layers here do not carry."""
    for node in graph.nodes:
        kernel = node.op.attributes().get("kernel")
        if kernel is not None and len(kernel) != 2:
            raise UnsupportedError(
                f"{node}: a window of {len(kernel)} axes; hls4ml's front ends are supported with maps of height and width: "
                "convert a design, `muxflow build --target hls4ml`, or use target vitis, `muxflow build`"
            )


def _without_forks(graph: Graph) -> Graph:
    """Remove forks: a -> Fork -> a_0 -> b, a_1 -> c   becomes   a -> b, c: hls4ml copies streams itself."""
    source = {name: node.inputs[0] for node in graph.nodes if isinstance(node.op, Fork) for name in node.outputs}

    def before(name: str) -> str:
        while name in source:
            name = source[name]
        return name

    nodes = [
        replace(node, inputs=tuple(before(name) for name in node.inputs))
        for node in graph.nodes
        if not isinstance(node.op, Fork)
    ]
    return with_nodes(graph, nodes, **graph.renamed_outputs(before))


def _bare(stream: Stream) -> Stream:
    """Return the stream without what only reports use."""
    return replace(stream.without_lanes(), scale=(), offset=(), constant=None)


def _fraction(stream: Stream) -> int | None:
    """Count the bits after the point where value = code / 2^bits, None where no fixed-point type holds the values."""
    if any(stream.offset) or len(set(stream.scale)) != 1 or frexp(stream.scale[0])[0] != 0.5:
        return None
    return -int(log2(stream.scale[0]))


def _bits_after_point(value: float) -> int:
    numerator, denominator = float(value).as_integer_ratio()
    return denominator.bit_length() - 1 if numerator else 0


def _with_forks(nodes: tuple[Node, ...], inputs: tuple[str, ...]) -> tuple[Node, ...]:
    """Add forks: a -> b, c   becomes   a -> Fork -> a_0 -> b, a_1 -> c   for inputs that several nodes of one layer read."""
    counts = Counter(name for node in nodes for name in node.inputs)
    forks = []
    for name in inputs:
        if counts[name] > 1:
            ways = tuple(f"{name}_{way}" for way in range(counts[name]))
            forks.append(Node(f"{name}_fork", Fork(len(ways)), (name,), ways))
            left = list(ways)
            nodes = tuple(
                replace(node, inputs=tuple(left.pop(0) if one == name else one for one in node.inputs))
                for node in nodes
            )
    return (*forks, *nodes)
