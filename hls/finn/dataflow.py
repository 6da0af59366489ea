"""A design, node by node, as a FINN dataflow model: FINN's own nodes wherever FINN has one, Muxflow's where it has none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.hls.finn import finn_nodes, own_nodes
from muxflow.hls.finn.conversion import Conversion
from muxflow.hls.finn.streams import data_type
from muxflow.hls.finn.support import check_folded, check_graph

COUNTS = "muxflow.counts"
"""Where a model says which of its tensors are counts; see `Conversion`."""


def dataflow_model(design: Design) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """Make the FINN ModelWrapper of a design (see `muxflow.hls.finn.convert`); list by tensor the nodes that write it."""
    graph = design.graph
    check_graph(graph)
    check_folded(design.folded)
    conversion = Conversion(design)
    for name in graph.inputs:
        conversion.builder.tensor(name, (1, *graph.streams[name].shape), data_type(graph.streams[name]))
    for node in graph.nodes:
        if isinstance(node.op, MatrixVector):
            conversion.plan(node)
    for node in graph.nodes:
        if node.name not in conversion.absorbed:
            conversion.builder.owner = conversion.parts(node)
            _emitter(conversion, node)(conversion, node)
    model = conversion.builder.model(graph.inputs, graph.outputs)
    model.set_metadata_prop(COUNTS, json.dumps(conversion.counts))
    return model, conversion.builder.owners


def _emitter(into: Conversion, node: Node) -> Emitter:
    """Choose what adds the FINN nodes of a node."""
    return EMITTERS.get(type(node.op), own_nodes.other)


Emitter = Callable[[Conversion, Node], None]

EMITTERS: Mapping[type[Op], Emitter] = {
    WidthConverter: finn_nodes.width_converter,
    SlidingWindow: finn_nodes.sliding_window,
    RomWeights: finn_nodes.nothing,
    MatrixVector: finn_nodes.matrix_vector,
    Threshold: finn_nodes.threshold,
    Fork: finn_nodes.fork,
    AddJoin: finn_nodes.add_join,
    Pool: finn_nodes.pool,
    AutomatonWeights: own_nodes.automaton_weights,
    MuxJoin: own_nodes.mux_join,
    OrJoin: own_nodes.or_join,
    ChannelSelect: own_nodes.channel_select,
    ShiftClip: own_nodes.shift_clip,
}
"""What adds the FINN nodes of an op; any other becomes a `MuxflowOp`."""
