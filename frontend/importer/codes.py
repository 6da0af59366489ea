"""What the operators of the muxflow domain read and give: maps of unsigned codes, all of one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.layout import is_feature_map, map_index
from muxflow.frontend.importer.values import Tensor
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import ModelNode

LEAST_SCALE, LARGEST_SCALE, MOST_BITS = 2.0**-64, 2.0**64, 16
"""Of a node of the muxflow domain (decisions): products with other scales and with codes stay normal numbers of float32."""


def attribute(node: ModelNode, name: str) -> Any:
    """Return an attribute of a node of the muxflow domain, where all are required; raises UnsupportedError without it."""
    if name not in node.attributes:
        raise UnsupportedError(f"{node.label}: no attribute {name}; export the model with muxflow again")
    return node.attributes[name]


def whole(node: ModelNode, name: str) -> int:
    """Return such an attribute that is a whole number."""
    return int(attribute(node, name))


def scale_of(node: ModelNode, name: str = "scale") -> float:
    """Return such an attribute that is a scale; raises UnsupportedError where it is out of range."""
    scale = float(attribute(node, name))
    if not LEAST_SCALE <= scale <= LARGEST_SCALE:
        raise UnsupportedError(
            f"{node.label}: {name} {scale:g}; it must be positive, from 2^-64 to 2^64 (LEAST_SCALE, LARGEST_SCALE)"
        )
    return scale


def unsigned_codes(importer: Importer, node: ModelNode, position: int, scale: float, bits: int) -> str:
    """Return the stream of unsigned codes that an input stands for; raises unless it has `bits` bits and this scale."""
    tensor = importer.tensor(node, position)
    stream = importer.streams[tensor.stream]
    if tensor.steps or stream.lo < 0 or not is_feature_map(tensor, stream):
        raise UnsupportedError(
            f"{node.label}: input {position} is not a map of unsigned codes; put an unsigned activation quantizer on it"
        )
    if not 1 <= bits <= MOST_BITS:
        raise UnsupportedError(f"{node.label}: codes of {bits} bits; supported are 1 to {MOST_BITS} (MOST_BITS)")
    if stream.hi >= 1 << bits:
        raise UnsupportedError(
            f"{node.label}: input {position} holds codes up to {stream.hi}, the node takes {bits} bits; use one shared "
            "activation quantizer of so many bits"
        )
    if tensor.scale.size != 1 or abs(float(tensor.scale[0]) / scale - 1) > 1e-6:
        raise UnsupportedError(
            f"{node.label}: input {position} has scale {tensor.scale[0]:g}, the node {scale:g}; use one shared "
            "activation quantizer of the node's scale"
        )
    return tensor.stream


def codes_of(importer: Importer, node: ModelNode, name: str, scale: float) -> Tensor:
    """Give the stream `name` as the node's output: codes of one scale, a map of the sizes of its first input."""
    sizes = importer.tensor(node, 0).index.shape[1:]
    scales = np.array([scale])
    importer.describe(name, scales)
    importer.tensors[name] = node.outputs[0]
    return Tensor(name, map_index(importer.streams[name], sizes), scales)
