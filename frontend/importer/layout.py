"""The order of elements, by rank: the model's maps are channel first, streams are channel last.

| rank | model, without the batch | stream |
|---|---|---|
| vectors | (features) | (1, 1, features), or (1, features) after a one-dimensional map |
| 1-D | (C, L) | (L, C) |
| 2-D | (C, H, W) | (H, W, C) |
| 3-D | (C, D, H, W) | (D, H, W, C) |
"""

from __future__ import annotations

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.values import Tensor

MOST_SPATIAL = 3
SUPPORTED_MAPS = "(C, L), (C, H, W) and (C, D, H, W)"
"""How messages name the maps that streams can carry."""
SHUFFLED = (
    "channels of maps in another order, as after a channel shuffle, are read by no layer; put a convolution of size 1 without "
    "groups in its place, which mixes the channels of all groups, or leave it out"
)
"""What is wrong with a permutation of channels, and what to do."""


def stream_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of the stream that carries a tensor of the model (without the batch), or None for other ranks."""
    if len(shape) == 1:
        return (1, 1, *shape)
    return (*shape[1:], shape[0]) if len(shape) - 1 <= MOST_SPATIAL else None


def stream_axes(rank: int) -> tuple[int, ...]:
    """Return the order of a stream's axes that makes a channel-first map of it."""
    return (rank - 1, *range(rank - 1))


def axis_of(label: str, axis: int, rank: int) -> int:
    """Count an axis of a tensor from the front, the batch included; raises UnsupportedError where it has none of that number.

    `label`: of the node that names it.
    """
    if not -rank <= axis < rank:
        raise UnsupportedError(f"{label}: axis {axis} of a tensor of {rank} axes; export the model again")
    return int(axis) % rank


def natural(stream: Stream) -> IntArray:
    """Return the index of a stream's elements in its own, channel-last order."""
    return np.arange(stream.size).reshape(stream.shape)


def channel_first(stream: Stream) -> IntArray:
    """Return the index of a feature map in the model's order: (C, ...) over a stream of (..., C)."""
    return np.moveaxis(natural(stream), -1, 0)


def is_feature_map(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is the stream's map in the model's (C, ...) order."""
    return tensor.index.ndim > 1 and np.array_equal(tensor.index, channel_first(stream))


def _is_shuffled(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is the stream's map with its channels in another order."""
    maps = channel_first(stream)
    if tensor.index.shape != maps.shape or tensor.index.ndim < 2:
        return False
    order = tensor.index.reshape(len(maps), -1)[:, 0]
    return bool((order < len(maps)).all()) and np.array_equal(tensor.index, maps[order])


def check_feature_map(label: str, tensor: Tensor, stream: Stream, supported: str) -> None:
    """Raise UnsupportedError naming the node where its input is no feature map; `supported`: what may be there."""
    if not is_feature_map(tensor, stream):
        if _is_shuffled(tensor, stream):
            raise UnsupportedError(f"{label}: {SHUFFLED}")
        raise UnsupportedError(
            f"{label}: its input is not a map in the order its stream has (shape {tensor.index.shape}); "
            f"supported are {supported}, not re-ordered before"
        )


def is_channel_last(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is the stream's map in the stream's own order, as after a Transpose."""
    return tensor.index.ndim > 1 and np.array_equal(tensor.index, natural(stream))


def is_pixel_by_pixel(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor holds the stream's pixels in order, channels last, whatever axes the pixels have."""
    last = tensor.index.ndim > 1 and tensor.index.shape[-1] == stream.channels
    return last and np.array_equal(tensor.index.reshape(-1), np.arange(stream.size))
