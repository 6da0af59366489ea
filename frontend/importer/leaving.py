"""Which nodes at the end of a model the host computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.graph import End
from muxflow.frontend.importer.values import Ending, Tensor, Value
from muxflow.frontend.model import MUXFLOW, QUANTIZED, Constant, Model, ModelNode

ORDERED = frozenset("Softmax LogSoftmax Sigmoid Tanh Identity Dropout Flatten Squeeze Unsqueeze Cast".split())
"""Operators after which the largest of (N, classes) is still the largest, as `keeps_order` says."""
FLOATS = (1, 11)
"""ONNX' numbers of float and double, in which different logits stay different."""
CHOICES = frozenset(("ArgMax", "TopK"))
"""Operators that choose the largest elements; the chip does so even where a softmax stands before them."""
MOST_NAMED = 8
"""Nodes of the host that are named."""
LAYERS = frozenset("Conv ConvTranspose Gemm MatMul LSTM GRU RNN".split())


class HostComputes(UnsupportedError):
    """A node that the chip does not compute, and the host does where the chip need compute nothing after it."""


def keeps_order(node: ModelNode) -> bool:
    """Tell whether the largest of (N, classes) is still the largest after a node.

    Not where it compares images with each other, as a softmax along the batch does, or casts to numbers that are coarser.
    """
    if node.op_type in ("Softmax", "LogSoftmax"):
        return node.attributes.get("axis", -1) in (1, -1)
    if node.op_type == "Cast":
        return node.attributes.get("to") in FLOATS
    return node.op_type in ORDERED


class Leaving:
    """The end of a model: which tensor leaves the chip, and which nodes the host computes then.

    `values`: of the tensors that the walk has come to, by name. `host`: names of the nodes that `end` left to the host.
    """

    def __init__(self, model: Model, values: Mapping[str, Value]) -> None:
        self.host: set[str] = set()
        self._model, self._values = model, values
        self._producers = {name: node for node in model.nodes for name in node.outputs}
        self._readers: dict[str, list[ModelNode]] = {}
        for node in model.nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)

    def check(self, node: ModelNode, error: HostComputes) -> None:
        """Raise UnsupportedError where a node after this one is the chip's: a quantizer, Muxflow's own, another layer."""
        reached = dict.fromkeys(node.outputs)
        waiting = list(reached)
        while waiting:
            for one in self._readers.get(waiting.pop(), ()):
                if one.domain in (*QUANTIZED, MUXFLOW) or one.op_type in LAYERS:
                    raise UnsupportedError(f"{error}; {one.label} comes after it") from error
                waiting += [name for name in one.outputs if name not in reached]
                reached |= dict.fromkeys(one.outputs)

    def after(self, node: ModelNode) -> Ending:
        """Return what the host has by a node; raises UnsupportedError where it needs two tensors, or the input."""
        ends = [self.readable(name) for name in self._data(node)]
        if len({end.tensor.stream for end in ends}) != 1:
            names = ", ".join(end.name for end in ends) or "none"
            raise UnsupportedError(f"{node.label}: the host would compute it from {names}; end the model before it")
        ordered = all(end.ordered for end in ends) and keeps_order(node)
        return replace(ends[0], ordered=ordered)

    def _data(self, node: ModelNode) -> list[str]:
        return [name for name in dict.fromkeys(node.inputs) if not isinstance(self._values[name], Constant)]

    def readable(self, name: str) -> Ending:
        """Return the last tensor up to a named one that the host can read from the chip; it computes the rest."""
        ordered, first = True, name
        while True:
            value = self._values[name]
            if isinstance(value, Ending):
                return replace(value, ordered=ordered and value.ordered)
            if isinstance(value, Tensor) and value.meaning() is not None:
                return Ending(value, name, ordered)
            node = self._producers.get(name)
            data = [] if node is None else self._data(node)
            if node is None or len(data) != 1:
                raise UnsupportedError(f"the host cannot read {first} from the chip; put a quantizer before it")
            ordered = ordered and keeps_order(node)
            (name,) = data

    def end(self, output: str, ending: Ending) -> End:
        """Describe the end of an output."""
        reached, wanted = {ending.name}, {output}
        for node in self._model.nodes:
            if reached.intersection(node.inputs):
                reached.update(node.outputs)
        rest = []
        for node in reversed(self._model.nodes):
            if (
                ending.name not in node.outputs
                and wanted.intersection(node.outputs)
                and reached.intersection(node.inputs)
            ):
                wanted.update(node.inputs)
                rest.append(node.label)
                self.host.add(node.name)
        rest = list(dict.fromkeys(rest))  # a layer of Keras may be several nodes
        more = [f"{len(rest) - MOST_NAMED} more"] if len(rest) > MOST_NAMED else []
        return End(ending.logits or ending.name, ", ".join([*rest[::-1][:MOST_NAMED], *more]), ending.ordered)
