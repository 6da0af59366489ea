"""The layers that an integer graph becomes in an hls4ml model, and the arrays between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.codec import from_json, to_json
from muxflow.dataflow.graph.file import decode_graph, encode_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import IntArray

EXACT = 2**53
"""The ends of hls4ml's simulation are floating-point numbers; integers up to this are exact in float64."""


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
    """A dense convolution, a layer of hls4ml's own.

    `weights` are codes, shape (filters, height, width, channels), value = code / 2^fraction; `pads`: (top, left, bottom,
    right), the same on both sides.
    """

    name: str
    input: str
    output: str
    weights: IntArray
    fraction: int
    stride: tuple[int, ...]
    pads: tuple[int, ...]


@dataclass(frozen=True)
class MaxPool:
    """A maximum over windows that do not overlap, a layer of hls4ml's own."""

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """A layer of Muxflow's own: an integer graph of one output between arrays.

    `graph`: its inputs have the names of the arrays that are read; a graph without nodes: the input's values become
    codes. `output`: the array that is written. `ports`: the arrays at its sides. `rounds`: whether the inputs are the
    user's, which may lie off the grid; all others are exact.
    """

    name: str
    graph: Graph
    output: str
    ports: Mapping[str, Port]
    rounds: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arrays that are read."""
        return self.graph.inputs

    def compute(self, *codes: IntArray) -> IntArray:
        """Compute output codes (N, *shape) for the codes of each input."""
        (result,) = self.graph.compute(*codes)
        return result

    def to_json(self) -> str:
        """Write the layer as text, the same for the same layer."""
        entry = {
            "name": self.name,
            "rounds": self.rounds,
            "graph": encode_graph(self.graph),
            "output": self.output,
            "ports": to_json(self.ports),
        }
        return json.dumps(entry, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> IntegerLayer:
        """Read what `to_json` wrote."""
        entry = json.loads(text)
        ports = from_json(Mapping[str, Port], entry["ports"], path="ports")  # type: ignore[type-abstract]
        return IntegerLayer(entry["name"], decode_graph(entry["graph"]), entry["output"], ports, entry["rounds"])


Layer = Convolution | MaxPool | IntegerLayer


@dataclass(frozen=True)
class Plan:
    """The layers of a model in topological order; `ports`: every array between them; `inputs`, `outputs`: the model's.

    Where there are several outputs, the last layers are theirs, in their order, and nothing else reads what they write.
    """

    name: str
    layers: tuple[Layer, ...]
    ports: Mapping[str, Port]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def check_ends(graph: Graph) -> None:
    """Raise UnsupportedError naming an input or output that hls4ml cannot hold.

    It is held by hls4ml's arrays, and by the floating-point numbers in which its simulation passes them.
    """
    for name in (*graph.inputs, *graph.outputs):
        stream = graph.streams[name]
        if len(stream.shape) > 3:
            raise UnsupportedError(
                f"{graph.name}: stream {name} has shape {stream.shape}; hls4ml's arrays have at most two spatial axes: use "
                "target vitis, `muxflow build`"
            )
        if max(abs(stream.lo), abs(stream.hi)) > EXACT:
            raise UnsupportedError(
                f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; hls4ml passes inputs and outputs as "
                f"floating-point numbers, exact up to {EXACT}: use target vitis, `muxflow build`"
            )


def to_codes(port: Port, values: npt.ArrayLike) -> IntArray:
    """Round values (N, *shape) to integer codes (N, *stream.shape).

    Off-grid values round to even, those beyond the ends become an end, as in hardware.
    """
    codes = np.rint(np.asarray(values, np.float64) * 2.0**port.fraction)
    return np.clip(codes, port.stream.lo, port.stream.hi).astype(np.int64).reshape(-1, *port.stream.shape)


def to_values(port: Port, codes: IntArray) -> npt.NDArray[np.float64]:
    """Return the values (N, *shape) of integer codes."""
    values: npt.NDArray[np.float64] = codes.reshape(-1, *port.shape) / 2.0**port.fraction
    return values


def inputs_of(layer: Layer) -> tuple[str, ...]:
    """Return the arrays that a layer reads."""
    return layer.inputs if isinstance(layer, IntegerLayer) else (layer.input,)
