"""A FINN dataflow model in the making: nodes, tensors with their data types, constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model

from muxflow.dataflow.graph.edit import free_name
from muxflow.hls.names import LONGEST_IDENTIFIER, identifier

DOMAIN = "finn.custom_op.fpgadataflow"
"""FINN specialises nodes of this domain alone."""


class ModelBuilder:
    """A collection of nodes in topological order.

    `types`: data type by tensor; `shapes`: with the batch axis of one; `owners`: by tensor that a node writes, what
    `owner` was when the node was added.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[NodeProto] = []
        self.types: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, npt.NDArray[np.float32]] = {}
        self.owners: dict[str, tuple[str, ...]] = {}
        self.owner: tuple[str, ...] = ()
        self._names: set[str] = set()

    def tensor(self, name: str, shape: Sequence[int], kind: str) -> str:
        """Record a tensor and return its name."""
        self.types[name], self.shapes[name] = kind, tuple(int(size) for size in shape)
        return name

    def constant(self, name: str, values: npt.NDArray[Any], kind: str) -> str:
        """Record a constant and return its name."""
        self.constants[name] = values.astype(np.float32)
        return self.tensor(name, values.shape, kind)

    def add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any],
        depths: tuple[Sequence[int], Sequence[int]] = ((2,), (2,)),
    ) -> None:
        """Add a dataflow node; its outputs get the shapes and types that FINN's class of the node says.

        `depths`: FIFO depths of its inputs and outputs, in beats.
        """
        plain = {
            key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for key, value in attributes.items()
        }
        node = helper.make_node(
            kind,
            list(inputs),
            list(outputs),
            name=self._node_name(name),
            domain=DOMAIN,
            backend="fpgadataflow",
            inFIFODepths=[int(depth) for depth in depths[0]] or [2],
            outFIFODepths=[int(depth) for depth in depths[1]] or [2],
            **plain,
        )
        instance = getCustomOp(node)
        for index, output in enumerate(outputs):
            shape = instance.get_normal_output_shape(index) if len(outputs) > 1 else instance.get_normal_output_shape()
            self.tensor(output, shape, instance.get_output_datatype(index).name)
            self.owners[output] = self.owner
        self.nodes.append(node)

    def _node_name(self, name: str) -> str:
        """Return the name as FINN may write it into C++, Tcl and paths: unchanged where it is an identifier."""
        fits = name.isascii() and name.isidentifier() and len(name) <= LONGEST_IDENTIFIER
        plain = name if fits else identifier(name)
        return free_name(plain, self._names)

    def model(self, sources: Sequence[str], targets: Sequence[str]) -> Any:
        """Return the ModelWrapper with these input and output tensors."""

        def infos(names: Iterable[str]) -> list[Any]:
            return [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(self.shapes[name])) for name in names]

        known = {*sources, *targets, *self.constants}
        graph = helper.make_graph(
            self.nodes,
            self.name,
            infos(sources),
            infos(targets),
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
            value_info=infos(name for name in self.shapes if name not in known),
        )
        model = ModelWrapper(qonnx_make_model(graph, producer_name="muxflow"))
        for name, kind in self.types.items():
            model.set_tensor_datatype(name, DataType[kind])
        return model


def _window_generator(attributes: Mapping[str, Any]) -> Any:
    kind, domain = "ConvolutionInputGenerator_rtl", f"{DOMAIN}.rtl"
    return getCustomOp(helper.make_node(kind, ["x"], ["y"], domain=domain, backend="fpgadataflow", **attributes))


def has_windows(attributes: Mapping[str, Any]) -> bool:
    """Tell whether FINN writes a window generator with these attributes.

    It refuses strides beyond the map, and cannot count a single window of one or two elements.
    """
    generator = _window_generator(attributes)
    try:
        if generator.select_impl_style() == "parallel":
            generator.prepare_codegen_parallel()
        else:
            generator.prepare_codegen_default()
    except (AssertionError, ValueError):
        return False
    return True


def window_cycles(attributes: Mapping[str, Any]) -> int:
    """Return FINN's estimate of the cycles of a window generator with these attributes."""
    return int(_window_generator(attributes).get_exp_cycles())
