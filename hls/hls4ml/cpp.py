"""The C++ text of Muxflow's layers in an hls4ml model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.fit.folded import FIFO_DEPTH, Folded, fold_graph, frame_edges
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, divisors
from muxflow.hls.emit import Emitter, Tool, by_table
from muxflow.hls.hls4ml.plan import IntegerLayer
from muxflow.hls.kernels import KERNELS
from muxflow.hls.names import identifier, identifiers

NAMESPACE = "muxflow_layers"
"""C++ namespace of the functions of a model's layers."""
WIDEST = 1024
"""Bits of the widest integer in an hls4ml project, which includes the vendor's types before it could be told of more."""


def tool_of(backend: str) -> Tool:
    """Name the tool in whose syntax a back end of hls4ml writes: only its Vitis one is for Vitis HLS."""
    return "vitis_hls" if backend == "Vitis" else "vivado_hls"


def in_namespace(text: str) -> str:
    """Put a layer's text inside the namespace of all layers."""
    return f"namespace {NAMESPACE} {{\n{text}}}  // namespace {NAMESPACE}\n"


def widest(folded: Folded, node: Node) -> int:
    """Give the bits of the widest word that a node moves or keeps."""
    beats = [folded.graph.streams[name].beat_bits for name in (*node.inputs, *node.outputs)]
    return max(*beats, 0, *(memory.width for memory in folded.cost(node).memories if memory.kind == "state"))


class LayerText:
    """An `IntegerLayer` as C++: a function a node, and one dataflow region around them between hls4ml's arrays.

    `reuse`: hls4ml's ReuseFactor, how many cycles a pixel may take; the cheapest fold that keeps to it is taken, the
    fastest one where none does. Raises MuxflowError where no fold fits the vendor tools' limits.
    """

    def __init__(self, layer: IntegerLayer, reuse: int, tool: Tool) -> None:
        self.layer = layer
        self.folded = self._folded(reuse)
        self.function = identifier(layer.name)
        nodes = [node.name for node in layer.graph.nodes]
        keys = [f"{self.function} {node}" for node in nodes]
        functions = dict(zip(nodes, identifiers(keys, (self.function,)).values(), strict=True))
        # The tool chooses where a table is stored: what else the model holds is not known here.
        self.emitter = Emitter(self.folded, tool, functions, by_table({}))

    @property
    def headers(self) -> list[str]:
        """What the text includes."""
        return ["muxflow/hls4ml/array.h", *(f"muxflow/{header}" for header in self.emitter.headers)]

    def definition(self, inputs: Sequence[str], output: str) -> str:
        """Write the text, for hls4ml's array types of the inputs and the output."""
        graph = self.folded.graph
        text = [in_namespace(definition) for definition in self.emitter.definitions()]
        arrays = [(f"x{i}", name) for i, name in enumerate(graph.inputs)]
        names = identifiers(graph.streams, ("y0", *(array for array, _ in arrays)))
        rounds = ", true" if self.layer.rounds else ""
        lines = [
            f"muxflow::array_to_beats<{self._door(name)}{rounds}>({array}, {names[name]})" for array, name in arrays
        ]
        lines += [self.emitter.node_call(node, names) for node in self.folded.processes]
        lines.append(f"muxflow::beats_to_array<{self._door(self.layer.output)}>({names[graph.outputs[0]]}, y0)")
        held = frame_edges(graph)
        streams = [name for name in graph.streams if name not in self.folded.in_place]
        region = [f"  muxflow::stream<{self.emitter.type_of(name)} > {names[name]};" for name in streams]
        for name in streams:
            # A frame where the reader also waits for an answer that comes once a frame, else what a handshake needs.
            depth = graph.streams[name].beats + FIFO_DEPTH if name in held else FIFO_DEPTH
            region.append(f"#pragma HLS stream variable={names[name]} depth={depth}")
        parameters = [f"muxflow::stream<{kind}>& {array}" for kind, (array, _) in zip(inputs, arrays, strict=True)]
        head = f"static void {self.function}({', '.join([*parameters, f'muxflow::stream<{output}>& y0'])}) {{"
        body = [head, "#pragma HLS dataflow", *region, *(f"  {line};" for line in lines), "}"]
        return "".join([*text, in_namespace("\n".join(body) + "\n")])

    def _door(self, name: str) -> str:
        port = self.layer.ports[name]
        return f"{port.stream.size}, {port.fraction}"

    def _folded(self, reuse: int) -> Folded:
        """Choose the cheapest fold that takes at most `reuse` cycles for a pixel of the output, else the fastest."""
        graph = self.layer.graph
        if not graph.nodes:
            (name,) = graph.inputs
            stream = graph.streams[name]
            return Folded(replace(graph, streams={name: stream.with_lanes(_most_lanes(stream))}), {}, KERNELS)
        leader = graph.nodes[-1]
        # hls4ml's arrays bring one pixel after the other.
        single = (fold for fold in leader.op.folds(graph.ports(leader)) if fold.pixels == 1)
        legal = {fold: found for fold in single if (found := self._under(fold))}
        if not legal:
            raise MuxflowError(
                f"layer {self.layer.name}: no fold of it fits the vendor tools' limits; use target vitis, `muxflow build`"
            )
        cycles = {fold: folded.cycles(folded.graph.nodes[-1]) for fold, folded in legal.items()}
        allowed = reuse * max(graph.streams[name].pixels for name in (*leader.inputs[:1], *leader.outputs))
        enough = [fold for fold in legal if cycles[fold] <= allowed]
        chosen = min(enough or legal, key=lambda fold: (fold.parallel if enough else cycles[fold], fold))
        return legal[chosen]

    def _under(self, fold: Fold) -> Folded | None:
        """Fold all nodes alike; None where a fold does not divide, both ends of a stream differ, or limits are passed."""
        graph = self.layer.graph
        leaders = {node.name: fold for node in graph.nodes if not node.op.folds_with_reader}
        try:
            folded = fold_graph(graph, leaders, KERNELS, axi=False)
        except GraphError:
            return None
        costs = [folded.cost(node).unrolled for node in folded.graph.nodes]
        same = len(folded.graph.nodes) == len(graph.nodes)
        fits = max(costs) <= KERNELS.limits.unrolled and all(widest(folded, n) <= WIDEST for n in folded.graph.nodes)
        return folded if same and fits else None


def _most_lanes(stream: Stream) -> int:
    """Give all channels at once, or as many as the vendor tools allow."""
    return max(lanes for lanes in divisors(stream.channels) if lanes * stream.bits <= WIDEST)
