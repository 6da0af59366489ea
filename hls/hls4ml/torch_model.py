"""The layers of a plan as a PyTorch module that hls4ml's PyTorch front end reads."""

from __future__ import annotations

from typing import Any

import torch
from hls4ml.utils.torch import HLS4MLModule
from torch import Tensor, fx, nn

from muxflow.dataflow.graph.graph import single_or_tuple
from muxflow.hls.hls4ml.plan import Convolution, IntegerLayer, Layer, MaxPool, Plan, inputs_of, to_codes, to_values


class MuxflowLayer(HLS4MLModule):  # type: ignore[misc]
    """An `IntegerLayer` on float tensors (N, C, H, W), value = code / 2^fraction; (N, C) where the layer is flat."""

    def __init__(self, layer: IntegerLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute on codes."""
        layer = self.layer
        codes = [
            to_codes(layer.ports[array], (value.movedim(1, -1) if value.dim() > 2 else value).numpy(force=True))
            for array, value in zip(layer.inputs, inputs, strict=True)
        ]
        values = torch.from_numpy(to_values(layer.ports[layer.output], layer.compute(*codes)))
        return values.movedim(-1, 1) if values.dim() > 2 else values


def torch_model(plan: Plan) -> nn.Module:
    """Build the module of a plan, (N, C, H, W) values an input, which computes in double precision, exactly.

    `Conv2d` and `MaxPool2d` stand for hls4ml's own layers, `MuxflowLayer` for Muxflow's.
    """
    root = nn.Module()
    graph = fx.Graph()
    arrays = {name: graph.placeholder(name) for name in plan.inputs}
    for layer in plan.layers:
        root.add_module(layer.name, _module(layer))
        arrays[layer.output] = graph.call_module(layer.name, tuple(arrays[name] for name in inputs_of(layer)))
    graph.output(single_or_tuple([arrays[name] for name in plan.outputs]))
    return fx.GraphModule(root, graph, plan.name).eval()


def _module(layer: Layer) -> nn.Module:
    if isinstance(layer, IntegerLayer):
        return MuxflowLayer(layer)
    if isinstance(layer, MaxPool):
        return nn.MaxPool2d(layer.kernel)
    return _convolution(layer)


def _convolution(layer: Convolution) -> nn.Module:
    filters, height, width, channels = layer.weights.shape
    options: dict[str, Any] = {"stride": layer.stride, "padding": layer.pads[:2], "bias": False, "dtype": torch.float64}
    module = nn.Conv2d(channels, filters, (height, width), **options)
    values = layer.weights.transpose(0, 3, 1, 2) * 2.0**-layer.fraction
    module.weight = nn.Parameter(torch.from_numpy(values), requires_grad=False)
    return module
