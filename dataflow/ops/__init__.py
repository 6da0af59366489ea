"""The ops of the integer graph, one file each."""

from __future__ import annotations

from typing import Any

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.top_k import TopK
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.dataflow.ops.window_pool import WindowPool

__all__ = [
    "OPS",
    "AddJoin",
    "ArgMax",
    "AutomatonWeights",
    "ChannelSelect",
    "Concat",
    "Fork",
    "MatrixVector",
    "MuxJoin",
    "OrJoin",
    "Pool",
    "RomWeights",
    "Scale",
    "ShiftClip",
    "SlidingWindow",
    "Threshold",
    "TopK",
    "WidthConverter",
    "WindowPool",
    "from_attributes",
]

OPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        AddJoin,
        ArgMax,
        AutomatonWeights,
        ChannelSelect,
        Concat,
        Fork,
        MatrixVector,
        MuxJoin,
        OrJoin,
        Pool,
        RomWeights,
        Scale,
        ShiftClip,
        SlidingWindow,
        Threshold,
        TopK,
        WidthConverter,
        WindowPool,
    )
}


def from_attributes(kind: str, attributes: dict[str, Any]) -> Op:
    """The op of that name with those attributes; raises MuxflowError for a name that this version does not know."""
    if kind not in OPS:
        raise MuxflowError(f"op {kind!r} is not known; this version has {', '.join(OPS)}")
    return OPS[kind](**attributes)
