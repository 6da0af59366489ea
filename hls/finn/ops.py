"""Muxflow's nodes as FINN custom ops, one class each and its HLS variant: importing this module registers them.

They stand in FINN's own domains, because FINN specialises, folds and builds no others.
"""

from __future__ import annotations

import json

import numpy as np
from finn.custom_op.fpgadataflow import register_custom_op as register_abstract
from finn.custom_op.fpgadataflow.hls import register_custom_op as register_hls

from muxflow.dataflow.fit.folded import Folded, fold_graph, fold_op
from muxflow.dataflow.fit.schedule import fifo_depths
from muxflow.dataflow.graph.codec import decode_op
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops import OPS, channel_select, mux_join, or_join, shift_clip
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.finn.hls_node import MuxflowHLS
from muxflow.hls.finn.node import Attributes, MuxflowNode
from muxflow.hls.finn.streams import stream
from muxflow.hls.finn.weights import AutomatonWeights, StreamedMVAU
from muxflow.hls.kernels import KERNELS

TENSOR = ("t", False, np.zeros(0, np.int64))


class MuxJoin(MuxflowNode):
    """MUX residual join: y = S ? (x + f) >> 1 : f, or S ? x | f : f; inputs x, f and, where `select` is "stream", S.

    `select`: "always"; "element", S = x >= `thresholds` of its channel; "stream", S is an input of shape (1, 1, 1, c),
    one bit a channel, made by `ChannelSelect`. x and f may differ in channels: the first c meet, the rest of f passes.
    `mix`: "mean" or "or". Source: MOGNET (arXiv 2501.09531), MUX residual block; BILLNET (arXiv 2501.14495), "or".
    """

    def own_attributes(self) -> Attributes:
        """Return `select`, `mix`, and `thresholds`, one a meeting channel, for "element"."""
        return {
            "select": ("s", True, "always", {"always", "element", "stream"}),
            "mix": ("s", False, "mean", {"mean", "or"}),
            "thresholds": TENSOR,
            "inFIFODepths": ("ints", False, [2, 2, 2]),
        }

    def input_streams(self) -> list[Stream]:
        """Return x, f and the select bits, which come once a frame."""
        found = super().input_streams()
        if self.get_nodeattr("select") == "stream":
            bits = found[2]
            found[2] = Stream((1, 1, bits.channels), bits.lo, bits.hi)
        return found

    def build(self) -> Folded:
        """Build one MUX join."""
        op = mux_join.MuxJoin(*(self.get_nodeattr(name) for name in ("select", "thresholds", "mix")))
        return fold_op(op, self.input_streams(), self.fold(), KERNELS)


class OrJoin(MuxflowNode):
    """OR residual join of the codes x and f. Source: HEQ (arXiv 2501.04517)."""

    def own_attributes(self) -> Attributes:
        """Return the depths for both inputs."""
        return {"inFIFODepths": ("ints", False, [2, 2])}

    def build(self) -> Folded:
        """Build one OR join."""
        return fold_op(or_join.OrJoin(), self.input_streams(), self.fold(), KERNELS)


class ChannelSelect(MuxflowNode):
    """One bit a channel from a whole frame: its maximum, or its sum, reaches the channel's threshold.

    Output: (1, 1, 1, c), BINARY, c = number of `thresholds`. Source: MOGNET; the statistic is a decision.
    """

    def own_attributes(self) -> Attributes:
        """Return `statistic`: "max" (select mode channel) or "sum" (channel-mean); `thresholds`."""
        return {"statistic": ("s", True, "max", {"max", "sum"}), "thresholds": TENSOR}

    def build(self) -> Folded:
        """Build one channel select."""
        op = channel_select.ChannelSelect(self.get_nodeattr("statistic"), self.get_nodeattr("thresholds"))
        return fold_op(op, self.input_streams(), self.fold(), KERNELS)


class ShiftClip(MuxflowNode):
    """y = clip((x + bias) >> shift, lowest, highest). Source: 1 Mb encoder (arXiv 2501.05097)."""

    def own_attributes(self) -> Attributes:
        """Return `bias`, one or one a channel; `shift`; `lowest`, `highest`; `even`, whether ties go to even quotients."""
        return {
            "bias": ("t", False, np.zeros(1, np.int64)),
            "shift": ("i", True, 0),
            "lowest": ("i", True, 0),
            "highest": ("i", True, 0),
            "even": ("i", False, 0, {0, 1}),
        }

    def build(self) -> Folded:
        """Build one shift and clip."""
        bias, shift, lowest, highest, even = map(self.get_nodeattr, ("bias", "shift", "lowest", "highest", "even"))
        op = shift_clip.ShiftClip(bias, shift, lowest, highest, bool(even))
        return fold_op(op, self.input_streams(), self.fold(), KERNELS)


class _MatrixNode(MuxflowNode):
    """A node whose attributes give the whole fold."""

    def fold(self) -> Fold:
        """Return PE, SIMD and groups."""
        return Fold(*(self.get_nodeattr(name) for name in ("PE", "SIMD", "ParallelGroups")))


class GroupedConvolution(_MatrixNode):
    """Convolution in true groups with stored weights, window and product in one node; accumulators out.

    `Weights`: integers (out channels, channels of a group x kernel height x kernel width as (row, column, channel)).
    `ConvKernelDim`, `Stride`, `Dilation`: [height, width]; `Padding`: [top, left, bottom, right] of
    `PaddingCode`; `Groups`.
    `PE` rows and `SIMD` columns of a group at once, or `ParallelGroups` whole groups.
    """

    def own_attributes(self) -> Attributes:
        """See the class."""
        return {
            "SIMD": ("i", True, 1),
            "ParallelGroups": ("i", False, 1),
            "Groups": ("i", True, 1),
            "ConvKernelDim": ("ints", False, [1, 1]),
            "Stride": ("ints", False, [1, 1]),
            "Dilation": ("ints", False, [1, 1]),
            "Padding": ("ints", False, [0, 0, 0, 0]),
            "PaddingCode": ("i", False, 0),
            "Weights": ("t", True, np.zeros(0, np.int64)),
        }

    def build(self) -> Folded:
        """Build window, weights and matrix-vector product; a 1x1 kernel of stride 1 needs no window."""
        groups = self.get_nodeattr("Groups")
        kernel, stride, dilation, pads = (
            tuple(self.get_nodeattr(name)) for name in ("ConvKernelDim", "Stride", "Dilation", "Padding")
        )
        (x,) = self.input_streams()
        nodes, vectors, vector = [], x, "x"
        if kernel != (1, 1) or stride != (1, 1) or any(pads):
            window = SlidingWindow(kernel, stride, dilation, pads, groups, self.get_nodeattr("PaddingCode"))
            (vectors,) = window.infer(x)
            nodes.append(Node("window", window, ("x",), ("window",)))
            vector = "window"
        weights = RomWeights(self.get_nodeattr("Weights"), groups, vectors.pixels)
        product = MatrixVector(groups, kernel[0] * kernel[1])
        nodes.append(Node("weights", weights, (), ("weights",)))
        nodes.append(Node("product", product, (vector, "weights"), ("y",)))
        graph = with_nodes(Graph("convolution", (), {"x": x}, ("x",), ("y",)), nodes)
        folded = fold_graph(graph, {"product": self.fold()}, KERNELS, axi=False)
        return folded.with_depths(fifo_depths(folded))


class MuxflowOp(_MatrixNode):
    """Any op of Muxflow's integer graph that FINN has no node for, with one or more inputs and outputs.

    `op`: its name; `attributes`: its fields as JSON (`muxflow.dataflow.graph.codec`); `shapes`: of the inputs, as "8x8x24".
    `Weights`: of an op with stored weights, its last input, (rows, columns), which no tensor carries.
    """

    def own_attributes(self) -> Attributes:
        """Return `op`, `attributes`, the whole fold."""
        return {
            "op": ("s", True, "", set(OPS)),
            "attributes": ("s", True, "{}"),
            "shapes": ("strings", True, []),
            "Weights": TENSOR,
            "SIMD": ("i", False, 1),
            "ParallelGroups": ("i", False, 1),
            "inFIFODepths": ("ints", False, [2, 2, 2]),
            "outFIFODepths": ("ints", False, [2, 2, 2]),
        }

    def input_streams(self) -> list[Stream]:
        """Return streams of the shapes that are given."""
        types = self.get_nodeattr("inputDataTypes")
        shapes = [tuple(map(int, text.split("x"))) for text in self.get_nodeattr("shapes")]
        return [stream(shape, name) for shape, name in zip(shapes, types, strict=True)]

    def build(self) -> Folded:
        """Build one node of the op."""
        op = decode_op({"op": self.get_nodeattr("op"), "attributes": json.loads(self.get_nodeattr("attributes"))})
        weights = self.get_nodeattr("Weights")
        if not weights.size:
            return fold_op(op, self.input_streams(), self.fold(), KERNELS)
        (x,) = self.input_streams()
        nodes = [
            Node("weights", RomWeights(weights, repeats=x.pixels), (), ("weights",)),
            Node("node", op, ("x", "weights"), ("y",)),
        ]
        folded = fold_graph(
            with_nodes(Graph(op.kind, (), {"x": x}, ("x",), ("y",)), nodes), {"node": self.fold()}, KERNELS, axi=False
        )
        return folded.with_depths(fifo_depths(folded))


def _register(kind: type[MuxflowNode]) -> None:
    """Register a class, and after it the class of its HLS variant."""
    register_abstract(kind)
    register_hls(type(f"{kind.__name__}_hls", (kind, MuxflowHLS), {"__doc__": f"HLS variant of {kind.__name__}."}))


KINDS: tuple[type[MuxflowNode], ...] = (
    AutomatonWeights,
    ShiftClip,
    ChannelSelect,
    GroupedConvolution,
    MuxflowOp,
    MuxJoin,
    OrJoin,
    StreamedMVAU,
)
for _kind in KINDS:
    _register(_kind)
