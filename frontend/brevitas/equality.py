"""Whether an exported file computes what its model does: each quantizer around its steps, all of them on random inputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from brevitas.proxy.parameter_quant import BiasQuantProxyFromInjector
from brevitas.proxy.runtime_quant import TruncQuantProxyFromInjector
from onnx import helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor, nn

from muxflow.dataflow.errors import ExecutionError, MuxflowWarning, UnsupportedError
from muxflow.dataflow.text import in_one_line
from muxflow.frontend.brevitas.steps import SMALLEST, act_quantizers, check_codes, check_steps
from muxflow.frontend.qonnx.execution import QonnxModel

Floats = npt.NDArray[np.float32]
Calls = Mapping[str, Sequence[onnx.NodeProto]]
"""By quantizer of a model, "blk1.act.act_quant": the nodes of its calls."""
QUANTIZERS = ("Quant", "BipolarQuant", "Trunc", "FloatQuant")
CELL = "QuantLSTMCell"
IMAGES = 2
NOISE = 2.0**-12
"""What float sums of another order differ by at most, of the largest element; another weight or divisor gives far more."""
MOST_NAMES = 8
"""Nodes that a message names."""
PIXELS = 256


def quantizer_calls(proto: onnx.ModelProto) -> Calls:
    """List the nodes of each quantizer and of Brevitas' LSTM layers, which `note_modules` noted; calls in the file's order."""
    calls: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        if node.op_type in (*QUANTIZERS, CELL):
            calls.setdefault(node.doc_string, []).append(node)
    return calls


def check_equal(
    model: nn.Module, shapes: Sequence[tuple[int, ...]], places: Sequence[int], file: ModelWrapper, calls: Calls
) -> None:
    """Run a model in evaluation mode and its file on seeded inputs; raises UnsupportedError where they differ.

    `shapes`: of the model's inputs; `places`: those of the file's among them; `calls`: see `quantizer_calls`.
    Each quantizer of the model is given the very floats that the file's has, so that no rounding between torch and the
    file's libraries decides a code: its codes must be equal, and floats before it but for `NOISE`. First each is run alone,
    see `check_steps`. Warns where the file cannot be executed, as one with operators or roundings that are not supported.
    """
    executed = QonnxModel(file, threads=1)
    for seed in range(IMAGES):
        generator = np.random.default_rng(seed)
        names = dict(zip(places, executed.inputs, strict=True))
        images = [_image(file.model.graph, names.get(place), shape, generator) for place, shape in enumerate(shapes)]
        try:
            tensors = executed.run(*(images[place] for place in places))
        except ExecutionError as error:
            warnings.warn(
                f"export: the file is not compared with the model, as it cannot be executed: {error}; muxflow check says more",
                MuxflowWarning,
                stacklevel=4,
            )
            return
        if seed == 0:
            check_steps(model, file.model.graph, tensors, calls)
        comparison = _Comparison(file.model.graph, tensors)
        handles = []
        for quantizer, (proxy, nodes) in _quantizers(model, calls).items():
            watch = _Watch(comparison, proxy, nodes)
            handles += [quantizer.register_forward_pre_hook(watch.before), quantizer.register_forward_hook(watch.after)]
        try:
            with torch.no_grad():
                answer = model(*(torch.from_numpy(image) for image in images))
        finally:
            for handle in handles:
                handle.remove()
        comparison.check(_tensors(answer), executed.outputs)


def _quantizers(model: nn.Module, calls: Calls) -> dict[nn.Module, tuple[nn.Module, list[onnx.NodeProto]]]:
    """Give each module that quantizes activations or a bias, whatever its names, with its proxy and the nodes of its calls."""
    found: dict[nn.Module, tuple[nn.Module, list[onnx.NodeProto]]] = {}
    named = [(name, proxy, proxy.fused_activation_quant_proxy.tensor_quant) for name, proxy in act_quantizers(model)]
    for name, proxy in model.named_modules(remove_duplicate=False):
        if isinstance(proxy, TruncQuantProxyFromInjector | BiasQuantProxyFromInjector) and proxy.is_quant_enabled:
            named.append((name, proxy, proxy.tensor_quant))
    for name, proxy, quantizer in named:
        found.setdefault(quantizer, (proxy, []))[1].extend(calls.get(name, ()))
    return found


def _image(graph: onnx.GraphProto, name: str | None, shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Draw an input: codes of the quantizer that reads it, times its scale, or pixels p/256 where none does."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Quant" and node.input[0] == name and all(other in stored for other in node.input[1:]):
            scale, zero, bits = (stored[other] for other in node.input[1:])
            signed = next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == "signed"), 1)
            levels = 2 ** int(bits.max())
            codes = generator.integers(0, levels, shape) - (levels // 2 if signed else 0)
            return np.asarray((codes - zero) * scale, np.float32)
    return (generator.integers(0, PIXELS, shape) / PIXELS).astype(np.float32)


def _tensors(answer: Any) -> list[Tensor]:
    """List the tensors that a model returns, as torch's exporter does; of a QuantTensor its scale and the like, too."""
    if isinstance(answer, Tensor):
        return [answer]
    parts = answer.values() if isinstance(answer, Mapping) else answer if isinstance(answer, Iterable) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _difference(found: Tensor, wanted: Floats, least: float) -> float:
    """Return the largest difference of two tensors of one shape, relative to the largest element, or to `least`."""
    ours, theirs = found.detach().numpy().astype(np.float64), np.asarray(wanted, np.float64)
    unequal = (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    if not unequal.any():
        return 0.0
    apart = np.nan_to_num(np.abs(ours[unequal] - theirs[unequal]), nan=np.inf)
    return float(apart.max() / np.abs(theirs[np.isfinite(theirs)]).max(initial=least))


class _Comparison:
    """One run of a model beside the tensors of its file."""

    def __init__(self, graph: onnx.GraphProto, tensors: Mapping[str, Any]) -> None:
        self.graph, self.tensors = graph, tensors
        self.equal: set[str] = set()
        self.apart: list[tuple[_Watch, onnx.NodeProto, float]] = []
        """Calls of quantizers on other floats than the file's: the node that comes next, and how far it is."""

    def check(self, answer: Sequence[Tensor], outputs: Sequence[str]) -> None:
        """Raise UnsupportedError naming the nodes before the first floats that differ."""
        for watch, node, apart in self.apart:
            if watch.calls <= len(watch.nodes):  # of more calls than nodes, the file has no use for some
                self._refuse(f"{node.name} quantizes", node.input[0], apart)
        if len(answer) == len(outputs):
            for found, name in zip(answer, outputs, strict=True):
                # Flags of a QuantTensor are no tensors of the file.
                if name in self.tensors and (apart := _difference(found, self.tensors[name], SMALLEST)) > NOISE:
                    self._refuse(f"output {name} holds", name, apart)

    def _refuse(self, where: str, tensor: str, apart: float) -> None:
        names = [in_one_line(name) for name in self._nodes_before(tensor)]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        raise UnsupportedError(
            f"export: the file would compute something else than the model: {where} values that differ by {apart:.1%} of the "
            f"largest. One of {', '.join(names[:MOST_NAMES])}{more} has what the file does not say, as a divisor_override; write "
            "it in other operators of docs/reference/models.md"
        )

    def _nodes_before(self, tensor: str) -> list[str]:
        """Name the nodes that make a tensor of those that are equal, in the file's order."""
        wanted, names = {tensor}, []
        for node in reversed(self.graph.node):
            if wanted.intersection(node.output):
                names.append(node.name)
                wanted.update(set(node.input) - self.equal)
        return names[::-1]


class _Watch:
    """A quantizer of the model, which is made to quantize what the file's quantizes."""

    def __init__(self, run: _Comparison, proxy: nn.Module, nodes: Sequence[onnx.NodeProto]) -> None:
        self.run, self.proxy, self.nodes = run, proxy, nodes
        self.calls = 0
        self._node: onnx.NodeProto | None = None

    def before(self, _module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Find the node of a call by its floats, which it is given then; a call of a shape that none has asks for a scale."""
        floats = [self.run.tensors[node.input[0]] for node in self.nodes]
        fitting = [place for place, values in enumerate(floats) if values.shape == given[0].shape]
        self._node = None
        if not fitting:
            return None
        self.calls += 1
        apart, place = min((_difference(given[0], floats[place], self._step(place)), place) for place in fitting)
        if apart > NOISE:
            self.run.apart.append((self, self.nodes[place], apart))
            return None
        self._node = self.nodes[place]
        return torch.tensor(floats[place]), *given[1:]

    def _step(self, place: int) -> float:
        """Give the scale of a node: what is far below it makes no other code."""
        return float(np.max(self.run.tensors[self.nodes[place].input[1]]))

    def after(self, _module: nn.Module, _given: tuple[Any, ...], made: tuple[Tensor, ...]) -> None:
        """Compare the codes; raises UnsupportedError where they differ."""
        if self._node is None:
            return
        given = self.run.tensors[self._node.input[0]]
        check_codes(self._node, self.proxy, given, made[0].detach().numpy(), self.run.tensors)
        self.run.equal.add(self._node.output[0])
