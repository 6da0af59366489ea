"""The trained Brevitas network itself, as torch evaluates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from brevitas.proxy import ActQuantProxyFromInjector
from torch import nn

from muxflow.dataflow.errors import ExecutionError, MismatchError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.pool import Pool
from muxflow.frontend.floats import float_inputs, observed
from muxflow.frontend.training.joins import MuxJoin
from muxflow.frontend.training.lstm import QuantLstm
from muxflow.frontend.training.thermometer import ThermometerEncoder
from muxflow.proof.execution import Tensor

OBSERVED = (ActQuantProxyFromInjector, MuxJoin, QuantLstm, ThermometerEncoder)


class TorchExecution:
    """A Brevitas network: the outputs of every activation quantizer, join, LSTM and encoder, and the logits.

    The graph's streams are matched with them in the order of evaluation: the operands of a join from left to right.
    """

    title = "trained network (Brevitas, torch)"
    name = "torch"

    def __init__(self, model: nn.Module, graph: Graph) -> None:
        self._model = model
        self._graph = graph
        # Pools on codes are not modules of their own kind: their inputs and their readers are compared.
        pools = {name for node in graph.nodes if isinstance(node.op, Pool) for name in node.outputs}
        self._streams = [name for name in _evaluated(graph) if name in graph.tensors and name not in pools]

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`; raises MismatchError when the network evaluates another number of quantizers and joins."""
        # One pixel is taken to be a vector, (N, features): torch's dense layers want it so.
        values = (
            array[..., 0, 0] if array.shape[2:] == (1, 1) else array for array in float_inputs(self._graph, codes)
        )
        inputs = [torch.from_numpy(np.ascontiguousarray(array)) for array in values]
        caught: list[torch.Tensor] = []
        heads: list[torch.Tensor] = []  # what makes the input codes

        def catch(_module: nn.Module, given: Any, output: Any) -> None:
            value, read = (one.value if hasattr(one, "value") else one for one in (output, given[0]))
            of_input = any(read.data_ptr() == values.data_ptr() for values in inputs)
            (heads if of_input else caught).append(value)

        modules = [module for module in self._model.modules() if isinstance(module, OBSERVED) and _is_active(module)]
        handles = [module.register_forward_hook(catch) for module in modules]
        try:
            self._model.eval()
            with torch.no_grad():
                answer = self._model(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        inner = caught if heads else caught[1:]  # an input that is scaled first: the first quantizer makes its codes
        if len(inner) != len(self._streams):
            raise MismatchError(
                f"torch evaluates {len(inner)} quantizers and joins, the graph has {len(self._streams)}: "
                "the file was not exported from this network"
            )
        tensors = {name: value.numpy() for name, value in zip(self._streams, inner, strict=True)}
        answers = answer if isinstance(answer, tuple) else (answer,)
        outputs = dict(zip(self._graph.outputs, (values.numpy() for values in answers), strict=True))
        for stream, end in self._graph.ends.items():
            if end.rest and stream not in tensors:
                raise ExecutionError(
                    f"{self.title} cannot run it up to {end.tensor}: the network goes on to {end.rest}"
                )
            if end.rest:
                del outputs[stream]  # it is a quantizer's, which was caught
        return observed(self._graph, outputs, tensors)


def _evaluated(graph: Graph) -> list[str]:
    """List the graph's streams in the order in which a network computes them, from its first output to its last."""
    producers = graph.producers()
    order: dict[str, None] = {}
    waiting = [(name, False) for name in reversed(graph.outputs)]
    while waiting:
        name, operands_done = waiting.pop()
        if operands_done:
            order.setdefault(name)
        elif name not in order:
            waiting.append((name, True))
            if name in producers:
                waiting += [(operand, False) for operand in reversed(producers[name].inputs)]
    return list(order)


def _is_active(module: nn.Module) -> bool:
    """Tell whether the graph compares what a module gives: an LSTM's steps are no map, only its last one is."""
    if isinstance(module, QuantLstm):
        return module.last
    return not isinstance(module, ActQuantProxyFromInjector) or bool(module.is_quant_enabled)
