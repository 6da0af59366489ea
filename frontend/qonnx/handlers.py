"""Import of QONNX' operators on channel-last maps, as its conversion to channels-last writes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muxflow.frontend.importer.channels_last import as_channel_first
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.values import Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import CHANNELS_LAST, Constant, ModelNode


@handles("MaxPool", "BatchNormalization", domains=(CHANNELS_LAST,))
def channels_last(importer: Importer, node: ModelNode) -> Value:
    """Import MaxPool and BatchNormalization on channel-last maps."""
    return as_channel_first(importer, node, node.op_type)


@handles("Conv", domains=(CHANNELS_LAST,))
def convolution(importer: Importer, node: ModelNode) -> Value:
    """Import Conv on channel-last maps, whose weights have their channels last too."""
    weights = importer.values[node.inputs[1]]
    if not isinstance(weights, Constant):
        return as_channel_first(importer, node, "Conv")
    codes, scale = weights.codes, weights.scale
    if codes is not None:
        scale = np.moveaxis(np.broadcast_to(scale, codes.shape), -1, 1)
        codes = np.moveaxis(codes, -1, 1)
    moved = f"{node.inputs[1]} channel-first"
    importer.values[moved] = Constant(np.moveaxis(weights.value, -1, 1), codes, scale)
    return as_channel_first(importer, replace(node, inputs=(node.inputs[0], moved, *node.inputs[2:])), "Conv")
