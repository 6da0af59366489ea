"""Muxflow's nodes in a FINN model: each function adds what stands for one node of a design."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from muxflow.dataflow.graph.codec import to_json
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.finn.conversion import Conversion


def automaton_weights(into: Conversion, node: Node) -> None:
    """Add AutomatonWeights."""
    op = node.op
    assert isinstance(op, AutomatonWeights)
    fold = into.design.folds[node.name]
    fields = {name: getattr(op, name) for name in ("rule", "ring", "seed", "burn_in", "alphabet")}
    matrix = {"PE": fold.pe, "SIMD": fold.simd, "MW": op.columns, "MH": op.rows, "numInputVectors": [op.repeats]}
    into.emit("AutomatonWeights", node, {**matrix, **fields})


def grouped_convolution(into: Conversion, node: Node) -> None:
    """Add GroupedConvolution: the product, its stored weights, and the window and converters before it."""
    op, source = node.op, into.producers[node.inputs[1]].op
    assert isinstance(op, MatrixVector) and isinstance(source, RomWeights)
    before = into.before(node)
    name = before[-1].inputs[0] if before else node.inputs[0]
    x, fold = into.graph.streams[name], into.design.folds[node.name]
    attributes: dict[str, Any] = {
        **into.shared(node, (name,)),
        "SIMD": fold.simd,
        "ParallelGroups": fold.groups,
        "Groups": op.groups,
        "Weights": np.asarray(source.weights),
        "numInputVectors": [1, *x.shape[:-1]],
    }
    if before:
        window = before[-1].op
        assert isinstance(window, SlidingWindow)
        attributes |= {
            "ConvKernelDim": list(window.kernel),
            "Stride": list(window.stride),
            "Dilation": list(window.dilation),
            "Padding": list(window.pads),
            "PaddingCode": window.pad_code,
        }
    depths = ([into.design.depths[name]], [into.design.depths[node.outputs[0]]])
    into.builder.add("GroupedConvolution", node.name, [name], node.outputs, attributes, depths)


def mux_join(into: Conversion, node: Node) -> None:
    """Add a MuxJoin."""
    op = node.op
    assert isinstance(op, MuxJoin)
    attributes = {**into.shared(node), "select": op.select, "mix": op.mix}
    if op.thresholds.size:
        attributes["thresholds"] = np.asarray(op.thresholds)
    into.emit("MuxJoin", node, attributes)


def or_join(into: Conversion, node: Node) -> None:
    """Add an OrJoin."""
    into.emit("OrJoin", node, into.shared(node))


def channel_select(into: Conversion, node: Node) -> None:
    """Add a ChannelSelect."""
    op = node.op
    assert isinstance(op, ChannelSelect)
    attributes = {"statistic": op.statistic, "thresholds": np.asarray(op.thresholds)}
    into.emit("ChannelSelect", node, {**into.shared(node), **attributes})


def shift_clip(into: Conversion, node: Node) -> None:
    """Add a ShiftClip."""
    op = node.op
    assert isinstance(op, ShiftClip)
    attributes = {"bias": np.asarray(op.bias), "shift": op.shift, "lowest": op.lowest, "highest": op.highest}
    attributes |= {"even": int(op.even)}
    into.emit("ShiftClip", node, {**into.shared(node), **attributes})


def other(into: Conversion, node: Node) -> None:
    """Add any op that FINN has no node for; stored weights that it reads are part of it."""
    fold = into.design.folds[node.name]
    stored = {name: into.producers[name].op for part in into.stored(node) for name in part.outputs}
    names = tuple(name for name in node.inputs if name not in stored)
    attributes: dict[str, Any] = {
        **into.shared(node, names),
        "op": node.op.kind,
        "attributes": json.dumps(to_json(node.op), sort_keys=True),
        "shapes": ["x".join(map(str, into.graph.streams[name].shape)) for name in names],
        "SIMD": fold.simd,
        "ParallelGroups": fold.groups,
    }
    for source in stored.values():
        assert isinstance(source, RomWeights)
        attributes["Weights"] = np.asarray(source.weights)
    depths = into.depths(node)
    given = [depth for name, depth in zip(node.inputs, depths[0], strict=True) if name in names]
    into.builder.add("MuxflowOp", node.name, list(names), node.outputs, attributes, (given, depths[1]))
