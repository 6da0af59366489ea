"""Proof against the trained network itself, as torch evaluates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas.proxy import ActQuantProxyFromInjector
from torch import nn

from muxflow.dataflow.errors import MismatchError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.pool import Pool
from muxflow.frontend.qonnx.execution import Agreement, Progress, compare, float_inputs
from muxflow.frontend.training.layers import MuxJoin, OrJoin

COMPARED = (ActQuantProxyFromInjector, MuxJoin, OrJoin)


def compare_with_torch(model: nn.Module, graph: Graph, codes: IntArray, progress: Progress | None = None) -> Agreement:
    """Runs a Brevitas network and its integer graph on the same images and compares all codes.

    Compared are the outputs of every activation quantizer and of every MUX or OR join, and the logits. The graph's
    streams are matched with them in the order of evaluation, which is the order of the export.

    Raises MismatchError naming the first stream, image and index that differ, and both values.
    """
    # Pools on codes are not modules of their own kind: their inputs and their readers are compared.
    pools = {name for node in graph.nodes if isinstance(node.op, Pool) for name in node.outputs}
    streams = [name for name in graph.tensors if name not in pools]
    caught: list[torch.Tensor] = []

    def catch(_module: nn.Module, _inputs: Any, output: Any) -> None:
        caught.append(output.value if hasattr(output, "value") else output)

    modules = [module for module in model.modules() if isinstance(module, COMPARED) and _is_active(module)]
    handles = [module.register_forward_hook(catch) for module in modules]

    def tensors(batch: IntArray) -> Mapping[str, npt.NDArray[Any]]:
        caught.clear()
        with torch.no_grad():
            logits = model(torch.from_numpy(float_inputs(graph, batch)))
        inner = caught[1:]  # the first quantizer makes the input codes
        if len(inner) != len(streams):
            raise MismatchError(
                f"torch evaluates {len(inner)} quantizers and joins, the graph has {len(streams)}: "
                "the file was not exported from this network"
            )
        named = {name: value.numpy() for name, value in zip(streams, inner, strict=True)}
        return {**named, "": np.asarray(logits.numpy())}

    try:
        model.eval()
        return compare(graph, codes, tensors, "torch", progress)
    finally:
        for handle in handles:
            handle.remove()


def _is_active(module: nn.Module) -> bool:
    return not isinstance(module, ActQuantProxyFromInjector) or bool(module.is_quant_enabled)
