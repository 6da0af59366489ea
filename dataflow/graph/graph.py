"""The integer graph: a frozen list of nodes whose call is the normative semantics."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray, Op, Ports

FORMAT = 1
Batch = Any
Codes = Any
BATCH = 32
"""Images computed at once: keeps the windows of a CIFAR-sized layer in tens of megabytes."""


@dataclass(frozen=True)
class Node:
    """An op with the names of the streams on either side."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Readout:
    """How the host turns the integers of the output stream into the model's output.

    `scale`, `offset`: one number a stream element of the last axis; value = scale * code + offset.
    `order`: position in the stream's flat order of each element of the model's flat output.
    `shape`: the model's output shape without the batch.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def __call__(self, codes: IntArray) -> npt.NDArray[np.float64]:
        """Model outputs, shape (N, *shape), from codes of shape (N, H, W, C)."""
        values = codes * np.array(self.scale) + np.array(self.offset)
        ordered: npt.NDArray[np.float64] = values.reshape(len(codes), -1)[:, list(self.order)]
        return ordered.reshape(len(codes), *self.shape)


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order over named streams; one input stream, one output stream.

    `streams`: every stream by name. `readout`: how the host reads the output, None when the codes are the answer.
    `notes`: what an importer wants reports to say (accuracy, data set, source file); strings only.
    `tensors`: the model's tensor that a stream stands for, where there is one; proofs compare the two.
    """

    name: str
    nodes: tuple[Node, ...]
    streams: Mapping[str, Stream]
    input: str
    output: str
    readout: Readout | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "streams", MappingProxyType(dict(self.streams)))
        object.__setattr__(self, "notes", MappingProxyType(dict(self.notes)))
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    def ports(self, node: Node) -> Ports:
        """The streams of a node."""
        return Ports(
            tuple(self.streams[name] for name in node.inputs), tuple(self.streams[name] for name in node.outputs)
        )

    def producers(self) -> dict[str, Node]:
        """The node behind each stream; the graph's input has none."""
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each stream."""
        readers: dict[str, list[Node]] = {name: [] for name in self.streams}
        for node in self.nodes:
            for name in node.inputs:
                readers[name].append(node)
        return readers

    def __call__(self, images: npt.ArrayLike) -> IntArray:
        """The output codes, shape (N, *output.shape), for input codes of shape (N, *input.shape).

        Raises MuxflowError when the images have another shape, are not integers, or leave the input's interval.
        """
        return self.run(images, keep=(self.output,))[self.output]

    def run(
        self,
        images: npt.ArrayLike,
        keep: tuple[str, ...] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, IntArray]:
        """Every stream's codes by name (or those in `keep`), computed `BATCH` images at a time.

        Weight matrices come without a batch axis. `progress` is told the number of images finished so far.
        """
        batch = self.check_codes(images)[self.input]
        wanted = tuple(self.streams) if keep is None else tuple(dict.fromkeys(keep))
        parts: dict[str, list[IntArray]] = {name: [] for name in wanted}
        fixed = {
            name: array
            for node in self.nodes
            if not node.inputs
            for name, array in zip(node.outputs, node.op.compute(), strict=True)
        }
        for start in range(0, len(batch), BATCH):
            values = {**fixed, self.input: batch[start : start + BATCH]}
            for node in self.nodes:
                if node.inputs:
                    results = node.op.compute(*(values[name] for name in node.inputs))
                    values.update(zip(node.outputs, results, strict=True))
            for name in wanted:
                if name not in fixed:
                    parts[name].append(values[name])
            if progress:
                progress(min(start + BATCH, len(batch)))
        return {name: fixed[name] if name in fixed else np.concatenate(parts[name]) for name in wanted}

    def weights(self) -> frozenset[str]:
        """Streams of nodes without inputs: they wait for nothing and repeat in every frame."""
        return frozenset(name for node in self.nodes if not node.inputs for name in node.outputs)

    def check_images(self, images: npt.ArrayLike) -> IntArray:
        """Input codes as int64; raises MuxflowError on a wrong shape, a wrong type or a code outside the interval."""
        array = np.asarray(images)
        stream = self.streams[self.input]
        if array.shape[1:] != stream.shape or array.ndim != len(stream.shape) + 1:
            raise MuxflowError(
                f"{self.name}: images of shape {array.shape}; expected (N, {', '.join(map(str, stream.shape))})"
            )
        if array.dtype.kind not in "iu":
            raise MuxflowError(
                f"{self.name}: images of type {array.dtype}; expected integers in [{stream.lo}, {stream.hi}] "
                "(the codes of the input quantizer)"
            )
        if array.size == 0:
            raise MuxflowError(f"{self.name}: a batch of no images; give at least one")
        lowest, highest = int(array.min()), int(array.max())
        if lowest < stream.lo or highest > stream.hi:
            raise MuxflowError(
                f"{self.name}: image codes in [{lowest}, {highest}]; the input holds [{stream.lo}, {stream.hi}]"
            )
        if ((array.astype(np.int64) - stream.lo) % stream.step).any():
            raise MuxflowError(f"{self.name}: an image code other than -1 and +1; the input is bipolar")
        return array.astype(np.int64)

    # Until the graph has tuples of inputs and outputs itself.
    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def readouts(self) -> dict[str, Readout]:
        return {} if self.readout is None else {self.output: self.readout}

    def check_codes(self, batch: Batch) -> dict[str, IntArray]:
        return {self.input: self.check_images(batch[self.input] if isinstance(batch, Mapping) else batch)}

    def frames(self, batch: Batch) -> int:
        return len(batch[self.input] if isinstance(batch, Mapping) else batch)

    def batches(self, batch: Batch, size: int) -> Iterator[tuple[int, dict[str, IntArray]]]:
        array = batch[self.input] if isinstance(batch, Mapping) else batch
        for start in range(0, len(array), size):
            yield start, self.check_codes(array[start : start + size])

    def constants(self) -> dict[str, IntArray]:
        return {
            name: array
            for node in self.nodes
            if not node.inputs
            for name, array in zip(node.outputs, node.op.compute(), strict=True)
        }

    def evaluate(self, codes: Mapping[str, IntArray], constants: Mapping[str, IntArray]) -> dict[str, IntArray]:
        values = {**constants, **codes}
        for node in self.nodes:
            if node.inputs:
                results = node.op.compute(*(values[name] for name in node.inputs))
                values.update(zip(node.outputs, results, strict=True))
        return values

    def read_out(self, outputs: Codes) -> Any:
        return outputs if self.readout is None else self.readout(outputs)

    def operations(self) -> int:
        """Multiply-accumulates in a frame."""
        return sum(node.op.operations(self.ports(node)) for node in self.nodes)

    def __str__(self) -> str:
        lines = [f"{self.name}: input {self.input} {self.streams[self.input]}"]
        for node in self.nodes:
            outputs = ", ".join(f"{name} {self.streams[name]}" for name in node.outputs)
            lines.append(f"  {node.op.kind:18} {', '.join(node.inputs) or '-'} -> {outputs}")
        return "\n".join([*lines, f"  output {self.output}"])

    def save(self, path: Path) -> None:
        """Writes the graph to one `.npz` file, the same bytes for the same graph; atomic."""
        arrays: dict[str, IntArray] = {}
        nodes = []
        for node in self.nodes:
            attributes: dict[str, Any] = {}
            for key, value in node.op.attributes().items():
                if isinstance(value, np.ndarray):
                    arrays[f"{node.name}.{key}"] = value
                    attributes[key] = {"array": f"{node.name}.{key}"}
                else:
                    attributes[key] = _to_json(value)
            nodes.append(
                {
                    "name": node.name,
                    "op": node.op.kind,
                    "attributes": attributes,
                    "inputs": node.inputs,
                    "outputs": node.outputs,
                }
            )
        header = {
            "format": FORMAT,
            "name": self.name,
            "input": self.input,
            "output": self.output,
            "input_stream": _to_json(self.streams[self.input]),
            "meanings": {name: [stream.scale, stream.offset] for name, stream in self.streams.items() if stream.scale},
            "readout": None if self.readout is None else _to_json(self.readout),
            "notes": dict(self.notes),
            "tensors": dict(self.tensors),
            "nodes": nodes,
        }
        write_npz(path, json.dumps(header, sort_keys=True), arrays)

    @staticmethod
    def load(path: Path) -> Graph:
        """Reads a graph written by `save`; raises MuxflowError naming the file when it is absent, corrupt or newer."""
        from muxflow.dataflow.ops import from_attributes

        header, arrays = read_npz(path)
        if not isinstance(header, dict):
            raise MuxflowError(f"{path}: not a Muxflow graph file (its header is no table)")
        if header.get("format") != FORMAT:
            raise MuxflowError(f"{path}: graph format {header.get('format')}; this version reads format {FORMAT}")
        try:
            streams = {header["input"]: _stream(header["input_stream"])}
            nodes = []
            for entry in header["nodes"]:
                attributes = {
                    key: arrays[value["array"]] if isinstance(value, dict) and "array" in value else _tuples(value)
                    for key, value in entry["attributes"].items()
                }
                op = from_attributes(entry["op"], attributes)
                node = Node(entry["name"], op, tuple(entry["inputs"]), tuple(entry["outputs"]))
                streams.update(zip(node.outputs, _infer(node, streams), strict=True))
                nodes.append(node)
            for name, (scale, offset) in header["meanings"].items():
                streams[name] = replace(streams[name], scale=tuple(scale), offset=tuple(offset))
            readout = header["readout"]
            graph = Graph(
                header["name"],
                tuple(nodes),
                streams,
                header["input"],
                header["output"],
                None if readout is None else Readout(**{key: tuple(value) for key, value in readout.items()}),
                header["notes"],
                header["tensors"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MuxflowError(f"{path}: not a whole Muxflow graph ({error!r}); write it again") from error
        check(graph)
        return graph


def check(graph: Graph) -> Graph:
    """States the invariants and returns the graph; raises GraphError naming the node that breaks one.

    Names are unique; every input comes from an earlier node or is the graph's input; every stream but the output has
    exactly one reader after `insert_forks`, at least one before; the recorded intervals are those the ops infer.
    """
    known = {graph.input}
    names: set[str] = set()
    readers = graph.consumers()
    for node in graph.nodes:
        if node.name in names:
            raise GraphError(f"two nodes are called {node.name}; names must be unique")
        names.add(node.name)
        for name in node.inputs:
            if name not in known:
                raise GraphError(
                    f"{node.name} ({node.op.kind}) reads {name}, which no earlier node writes: "
                    "the graph has a cycle or a missing node"
                )
        inferred = _infer(node, graph.streams)
        if len(inferred) != len(node.outputs):
            raise GraphError(
                f"{node.name} ({node.op.kind}) has {len(node.outputs)} outputs; the op has {len(inferred)}"
            )
        for name, stream in zip(node.outputs, inferred, strict=True):
            if name in known:
                raise GraphError(f"{node.name} ({node.op.kind}) writes {name}, which another node writes as well")
            known.add(name)
            if name not in graph.streams:
                raise GraphError(f"{node.name} ({node.op.kind}): its stream {name} is not recorded in the graph")
            recorded = graph.streams[name]
            fields = ("shape", "lo", "hi", "repeats", "bipolar")
            if any(getattr(recorded, field) != getattr(stream, field) for field in fields):
                raise GraphError(f"{node.name} ({node.op.kind}): stream {name} is {recorded}, its op infers {stream}")
    if graph.output not in known:
        raise GraphError(f"{graph.name}: no node writes the output {graph.output}")
    for name in known:
        if not readers[name] and name != graph.output:
            raise GraphError(f"{graph.name}: nobody reads the stream {name}")
    return graph


def _infer(node: Node, streams: Mapping[str, Stream]) -> tuple[Stream, ...]:
    """What a node's op infers; its errors name the node."""
    try:
        return node.op.infer(*(streams[name] for name in node.inputs))
    except GraphError as error:
        raise GraphError(f"{node.name}: {error}") from None
    except ValueError as error:
        raise GraphError(
            f"{node.name} ({node.op.kind}) takes another number of inputs than {len(node.inputs)}"
        ) from error


def with_nodes(graph: Graph, nodes: list[Node], **changes: Any) -> Graph:
    """The graph with other nodes: streams inferred anew, known meanings kept, invariants checked."""
    streams = {graph.input: graph.streams[graph.input]}
    for node in nodes:
        missing = [name for name in node.inputs if name not in streams]
        if missing:
            raise GraphError(
                f"{node.name} ({node.op.kind}) reads {missing[0]}, which no earlier node writes: "
                "the graph has a cycle or a missing node"
            )
        inferred = _infer(node, streams)
        if len(inferred) != len(node.outputs):
            raise GraphError(
                f"{node.name} ({node.op.kind}) has {len(node.outputs)} outputs; the op has {len(inferred)}"
            )
        for name, stream in zip(node.outputs, inferred, strict=True):
            known = graph.streams.get(name)
            if known is not None and known.scale:
                stream = replace(stream, scale=known.scale, offset=known.offset)
            streams[name] = stream
    return check(replace(graph, nodes=tuple(nodes), streams=streams, **changes))


def _to_json(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _stream(entry: dict[str, Any]) -> Stream:
    return Stream(**{key: _tuples(value) for key, value in entry.items()})


def write_npz(path: Path, header: str, arrays: Mapping[str, IntArray]) -> None:
    """Writes a JSON header and arrays as one zip with fixed dates, through a temporary sibling."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [("header.json", header.encode()), *((f"{key}.npy", _npy(a)) for key, a in arrays.items())]:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    write_atomically(path, buffer.getvalue())


def read_npz(path: Path) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """Reads what `write_npz` wrote; raises MuxflowError naming the file when it cannot."""
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("header.json"))
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
    except FileNotFoundError:
        raise MuxflowError(f"{path}: no such file") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        ValueError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise MuxflowError(f"{path}: not a Muxflow graph file ({error})") from error
    return header, arrays


def _npy(array: IntArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
