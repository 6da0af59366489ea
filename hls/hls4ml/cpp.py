"""The C++ text of our layers in an hls4ml model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.fit.schedule import FIFO_DEPTH
from muxflow.dataflow.graph.graph import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import UNROLL_LIMIT, Fold, Op, Ports, divisors
from muxflow.hls.emit import function_text, kernel_call
from muxflow.hls.hls4ml.plan import IntegerLayer
from muxflow.hls.names import identifier, identifiers
from muxflow.hls.vitis.project import Tool, beat_type, placed_table_pragmas, table_text

NAMESPACE = "muxflow_layers"
"""C++ namespace of the functions of a model's layers."""
WIDEST = 1024
"""Bits of the widest integer in an hls4ml project, which includes the vendor's types before it could be told of more."""


def in_namespace(text: str) -> str:
    """A layer's text inside the namespace of all layers."""
    return f"namespace {NAMESPACE} {{\n{text}}}  // namespace {NAMESPACE}\n"


def widest(op: Op, ports: Ports, fold: Fold) -> int:
    """Bits of the widest word that a node moves or keeps, its ports folded."""
    beats = [stream.beat_bits for stream in (*ports.inputs, *ports.outputs)]
    return max(*beats, 0, *(memory.width for memory in op.memories(ports, fold) if memory.kind == "state"))


class LayerText:
    """An `IntegerLayer` as C++: a function a node, and one dataflow region around them between hls4ml's arrays.

    `reuse`: hls4ml's ReuseFactor, how many cycles a pixel may take; the cheapest fold that keeps to it is taken, the
    fastest one where none does. Raises MuxflowError where no fold fits the vendor tools' limits.
    """

    def __init__(self, layer: IntegerLayer, reuse: int, tool: Tool) -> None:
        self.layer, self.tool = layer, tool
        self.streams = layer.streams
        self.fold = self._fold(reuse)
        self.lanes = self._lanes(self.fold)
        self.function = identifier(layer.name)
        self.kernels = {node.name: node.op.call(self._ports(node, self.lanes), self.fold) for node in layer.nodes}
        keys = [f"{self.function} {node}" for node in self.kernels]
        self.functions = dict(zip(self.kernels, identifiers(keys, (self.function,)).values(), strict=True))

    @property
    def headers(self) -> list[str]:
        """What the text includes."""
        return ["muxflow/hls4ml/array.h", *sorted({f"muxflow/{kernel.header}" for kernel in self.kernels.values()})]

    def definition(self, inputs: Sequence[str], output: str) -> str:
        """The text, for hls4ml's array types of the inputs and the output."""
        text = [self._node(node) for node in self.layer.nodes]
        arrays = [(f"x{i}", name) for i, name in enumerate(self.layer.inputs)]
        first, last = self.layer.inputs, self.layer.output if self.layer.nodes else self.layer.inputs[0]
        names = identifiers(self.streams, ("y0", *(array for array, _ in arrays)))
        lines = [
            f"muxflow::array_to_beats<{self._door(name)}{', true' if self.layer.rounds else ''}>({array}, {names[name]})"
            for array, name in arrays
        ]
        for node in self.layer.nodes:
            ports = ", ".join(names[name] for name in (*node.inputs, *node.outputs))
            lines.append(f"{self.functions[node.name]}({ports})")
        lines.append(f"muxflow::beats_to_array<{self._door(self.layer.output)}>({names[last]}, y0)")
        declared = [name for name in self.streams if self.layer.nodes or name in first]
        region = [f"  muxflow::stream<{self._beat(name)} > {names[name]};" for name in declared]
        region += [f"#pragma HLS stream variable={names[name]} depth={self._depth(name)}" for name in declared]
        parameters = [f"muxflow::stream<{kind}>& {array}" for kind, (array, _) in zip(inputs, arrays, strict=True)]
        head = f"static void {self.function}({', '.join([*parameters, f'muxflow::stream<{output}>& y0'])}) {{"
        body = [head, "#pragma HLS dataflow", *region, *(f"  {line};" for line in lines), "}"]
        return "".join([*text, in_namespace("\n".join(body) + "\n")])

    def _node(self, node: Node) -> str:
        kernel, function = self.kernels[node.name], self.functions[node.name]
        names = identifiers(f"{function} {table.name}" for table in kernel.tables)
        pairs = list(zip(names.values(), kernel.tables, strict=True))
        tables = [table_text(variable, table) for variable, table in pairs]
        # The tool chooses where a table is stored: what else the model holds is not known here.
        pragmas = [
            pragma for pair in pairs for pragma in placed_table_pragmas(*pair, placement="register", tool=self.tool)
        ]
        ports = [f"x{i}" for i in range(len(node.inputs))] + [f"y{i}" for i in range(len(node.outputs))]
        call = kernel_call(kernel, names.values(), ports)
        inputs, outputs = ([self._beat(name) for name in ends] for ends in (node.inputs, node.outputs))
        return in_namespace(function_text(function, inputs, outputs, pragmas, call, tables))

    def _beat(self, name: str) -> str:
        return f"muxflow::{beat_type(self.streams[name].with_lanes(self.lanes[name]))}"

    def _door(self, name: str) -> str:
        port = self.layer.ports[name]
        return f"{port.stream.size}, {port.fraction}"

    def _depth(self, name: str) -> int:
        """A frame of a map whose reader also waits for an answer that comes once a frame, else what a handshake needs."""
        stream = self.streams[name]
        for node in self.layer.nodes:
            waits = any(self.streams[other].pixels == 1 for other in node.inputs if other not in self._weights)
            if name in node.inputs and waits and stream.pixels > 1:
                return stream.size // self.lanes[name] + FIFO_DEPTH
        return FIFO_DEPTH

    @property
    def _weights(self) -> set[str]:
        return {name for node in self.layer.nodes if not node.inputs for name in node.outputs}

    def _ports(self, node: Node, lanes: Mapping[str, int] | None = None) -> Ports:
        """The streams of a node, folded where lanes are given."""
        streams = self.streams
        if lanes is not None:
            streams = {name: self.streams[name].with_lanes(lanes[name]) for name in (*node.inputs, *node.outputs)}
        return Ports(tuple(streams[name] for name in node.inputs), tuple(streams[name] for name in node.outputs))

    def _fold(self, reuse: int) -> Fold:
        """The cheapest fold that takes at most `reuse` cycles for a pixel of the output, else the fastest."""
        layer = self.layer
        if not layer.nodes:
            return _widest(self.streams[layer.inputs[0]])
        leader = layer.nodes[-1]
        ports = self._ports(leader)
        legal = [fold for fold in leader.op.folds(ports) if self._fits(fold)]
        if not legal:
            raise MuxflowError(
                f"layer {layer.name}: no fold of it fits the vendor tools' limits; use the native flow, `muxflow build`"
            )
        cycles = {fold: leader.op.loop(ports, fold).cycles for fold in legal}
        allowed = reuse * max(self.streams[name].pixels for name in (*leader.inputs[:1], *leader.outputs))
        enough = [fold for fold in legal if cycles[fold] <= allowed]
        return min(enough or legal, key=lambda fold: (fold.parallel if enough else cycles[fold], fold))

    def _fits(self, fold: Fold) -> bool:
        try:
            lanes = self._lanes(fold)
            for node in self.layer.nodes:
                ports = self._ports(node, lanes)
                if node.op.follows != "consumer":
                    node.op.check_folds(node.name, ports, fold)
                if node.op.unrolled(ports, fold) > UNROLL_LIMIT or widest(node.op, ports, fold) > WIDEST:
                    return False
        except GraphError:
            return False
        return True

    def _lanes(self, fold: Fold) -> dict[str, int]:
        """Lanes of every stream under a fold of all nodes; raises GraphError where a writer and its reader differ."""
        lanes = {} if self.layer.nodes else dict.fromkeys(self.streams, fold.pe)
        for node in self.layer.nodes:
            inputs, outputs = node.op.lanes(self._ports(node), fold)
            for name, count in zip((*node.inputs, *node.outputs), (*inputs, *outputs), strict=True):
                if lanes.setdefault(name, count) != count:
                    raise GraphError(
                        f"{node.name}: stream {name} has {lanes[name]} lanes at one end, {count} at the other"
                    )
        return lanes


def _widest(stream: Stream) -> Fold:
    """All channels at once, or as many as the vendor tools allow."""
    return Fold(max(lanes for lanes in divisors(stream.channels) if lanes * stream.bits <= WIDEST))
