"""Operators of channel-last maps, imported as the standard ones of channel-first maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muxflow.frontend.importer.handling import handlers
from muxflow.frontend.importer.values import Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import STANDARD, ModelNode


def as_channel_first(importer: Importer, node: ModelNode, op_type: str) -> Value:
    """Import a node of a channel-last map as the standard operator `op_type`; its result is channel last again."""
    tensor = importer.tensor(node, 0)
    first = f"{node.inputs[0]} channel-first"
    importer.values[first] = replace(tensor, index=np.moveaxis(tensor.index, -1, 0))
    standard = replace(node, op_type=op_type, kind=node.shown, domain=STANDARD, inputs=(first, *node.inputs[1:]))
    result = handlers()[STANDARD, op_type](importer, standard)
    assert isinstance(result, Tensor)
    if importer.tensors.get(result.stream) == node.outputs[0]:
        del importer.tensors[result.stream]  # the model's tensor has another order
    return replace(result, index=np.moveaxis(result.index, 0, -1))
