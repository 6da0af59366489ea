"""The layers that an integer graph becomes in an hls4ml model, and the arrays between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.graph.graph import Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops import (
    from_attributes,
)


@dataclass(frozen=True)
class Port:
    """An array between two layers: integer codes of `stream`, value = code / 2^fraction."""

    stream: Stream
    fraction: int
    flat: bool = False
    """Whether a map of one pixel is shown as a vector, shape (channels,)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape, channels last."""
        return self.stream.shape[-1:] if self.flat else self.stream.shape

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return width(self.stream.lo, self.stream.hi)[0]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A dense convolution, a layer of hls4ml's own: `weights` are codes, shape (filters, height, width, channels),
    value = code / 2^fraction; `pads`: (top, left, bottom, right), the same on both sides."""

    name: str
    input: str
    output: str
    weights: IntArray
    fraction: int
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True)
class MaxPool:
    """A maximum over windows that do not overlap, a layer of hls4ml's own."""

    name: str
    input: str
    output: str
    kernel: tuple[int, int]


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """A layer of ours: nodes of the integer graph between the arrays `inputs` and `output`.

    `nodes` in topological order, every stream inside with one reader; none: the input's values become codes.
    `ports`: the arrays at its sides; `streams`: all streams by name. `rounds`: whether the inputs are the user's, which
    may lie off the grid; all others are exact.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    output: str
    ports: Mapping[str, Port]
    rounds: bool = False

    @property
    def streams(self) -> dict[str, Stream]:
        """Every stream by name, inferred from the inputs."""
        found = {name: self.ports[name].stream for name in self.inputs}
        for node in self.nodes:
            found.update(zip(node.outputs, node.op.infer(*(found[name] for name in node.inputs)), strict=True))
        return found if self.nodes else {**found, self.output: self.ports[self.output].stream}

    def compute(self, *codes: IntArray) -> IntArray:
        """Output codes (N, *shape) for the codes of each input."""
        values = dict(zip(self.inputs, codes, strict=True))
        for node in self.nodes:
            values.update(zip(node.outputs, node.op.compute(*(values[name] for name in node.inputs)), strict=True))
        return values[self.output] if self.nodes else codes[0]

    def to_json(self) -> str:
        """The layer as text, the same for the same layer."""
        entry = {
            "name": self.name,
            "rounds": self.rounds,
            "nodes": [
                {
                    "name": node.name,
                    "op": node.op.kind,
                    "attributes": {key: _plain(value) for key, value in node.op.attributes().items()},
                    "inputs": node.inputs,
                    "outputs": node.outputs,
                }
                for node in self.nodes
            ],
            "inputs": self.inputs,
            "output": self.output,
            "ports": {
                name: {
                    "shape": port.stream.shape,
                    "lo": port.stream.lo,
                    "hi": port.stream.hi,
                    "bipolar": port.stream.bipolar,
                    "fraction": port.fraction,
                    "flat": port.flat,
                }
                for name, port in self.ports.items()
            },
        }
        return json.dumps(entry, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> IntegerLayer:
        """Reads what `to_json` wrote."""
        entry = json.loads(text)
        nodes = tuple(
            Node(
                one["name"],
                from_attributes(one["op"], {key: _tuples(value) for key, value in one["attributes"].items()}),
                tuple(one["inputs"]),
                tuple(one["outputs"]),
            )
            for one in entry["nodes"]
        )
        ports = {
            name: Port(
                Stream(tuple(one["shape"]), one["lo"], one["hi"], bipolar=one["bipolar"]), one["fraction"], one["flat"]
            )
            for name, one in entry["ports"].items()
        }
        return IntegerLayer(entry["name"], nodes, tuple(entry["inputs"]), entry["output"], ports, entry["rounds"])


Layer = Convolution | MaxPool | IntegerLayer


@dataclass(frozen=True)
class Plan:
    """The layers of a model in topological order; `ports`: every array between them; `input`, `output`: the model's."""

    name: str
    layers: tuple[Layer, ...]
    ports: Mapping[str, Port]
    input: str
    output: str


def to_codes(port: Port, values: npt.ArrayLike) -> IntArray:
    """Integer codes (N, *stream.shape) of values (N, *shape): off-grid values round to even, those beyond the ends become
    an end, as in hardware."""
    codes = np.rint(np.asarray(values, np.float64) * 2.0**port.fraction)
    return np.clip(codes, port.stream.lo, port.stream.hi).astype(np.int64).reshape(-1, *port.stream.shape)


def to_values(port: Port, codes: IntArray) -> npt.NDArray[np.float64]:
    """Values (N, *shape) of integer codes."""
    values: npt.NDArray[np.float64] = codes.reshape(-1, *port.shape) / 2.0**port.fraction
    return values


def inputs_of(layer: Layer) -> tuple[str, ...]:
    """The arrays that a layer reads."""
    return layer.inputs if isinstance(layer, IntegerLayer) else (layer.input,)


def _plain(value: Any) -> Any:
    return {"array": value.tolist()} if isinstance(value, np.ndarray) else value


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return np.array(value["array"], np.int64)
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
