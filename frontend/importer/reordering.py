"""Nodes that only re-order elements, on the index of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.layout import axis_of
from muxflow.frontend.model import ModelNode

Numbers = Callable[[int], npt.NDArray[Any]]
"""The constant that is a node's input at a position."""


def moved(node: ModelNode, index: IntArray, constant: Numbers) -> IntArray:
    """Find the index of a tensor after a node that re-orders it, found by moving two images at once.

    `index`: of any shape, without the batch. Raises UnsupportedError naming the node where it does not fit, or moves the
    batch.
    """
    batch = np.stack([index, index + index.size])
    try:
        found = _move(node, batch, constant)
    except (ValueError, IndexError) as error:
        raise UnsupportedError(
            f"{node.label}: does not fit a tensor of shape (N, {', '.join(map(str, index.shape))}) ({error}); keep the "
            "batch axis first and alone"
        ) from error
    if found.ndim < 2 or len(found) != 2 or (found[0] + index.size != found[1]).any():
        raise UnsupportedError(
            f"{node.label}: moves the batch axis; keep it first and alone. Attention, which does so, is not supported"
        )
    result: IntArray = found[0]
    return result


def _move(node: ModelNode, batch: IntArray, constant: Numbers) -> IntArray:
    kind = node.op_type
    if kind == "Reshape":
        target = [int(size) for size in constant(1)]
        if not node.attributes.get("allowzero", 0):
            target = [batch.shape[i] if size == 0 else size for i, size in enumerate(target)]
        # A file that was exported for one image says 1 where it means the batch.
        return batch.reshape([len(batch) if target[0] == 1 else target[0], *target[1:]])
    if kind == "Flatten":
        axis = axis_of(node.label, int(node.attributes.get("axis", 1)), batch.ndim)
        return batch.reshape(int(np.prod(batch.shape[:axis])), -1)
    if kind == "Transpose":
        return batch.transpose(node.attributes.get("perm", None))
    if kind == "DepthToSpace":
        return _unfolded(node, batch)
    given = len(node.inputs) > 1 and node.inputs[1]
    axes = constant(1).tolist() if given else node.attributes.get("axes", None)
    if kind == "Unsqueeze":
        return np.expand_dims(batch, tuple(axes))
    return np.squeeze(
        batch, tuple(i for i, size in enumerate(batch.shape) if size == 1) if axes is None else tuple(axes)
    )


def _unfolded(node: ModelNode, batch: IntArray) -> IntArray:
    """Make blocks of pixels of the channels of maps, as DepthToSpace does."""
    block, mode = int(node.attributes.get("blocksize", 0)), str(node.attributes.get("mode", "DCR"))
    if block < 1 or batch.ndim != 4 or batch.shape[1] % block**2 or mode not in ("DCR", "CRD"):
        raise UnsupportedError(
            f"{node.label}: blocks of {block} by {block} pixels, mode {mode}, of (N, {', '.join(map(str, batch.shape[1:]))}); "
            "supported are modes DCR and CRD, where the square of the block's size divides the channels of (N, C, H, W)"
        )
    count, channels, height, width = batch.shape
    channels //= block**2
    if mode == "DCR":
        parts = batch.reshape(count, block, block, channels, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        parts = batch.reshape(count, channels, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(count, channels, height * block, width * block)
