"""The integer graph: a frozen list of nodes whose call is the normative semantics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.batch import Batch, arrays_by_input, check_counts, check_shape, place
from muxflow.dataflow.graph.counted import operations_of
from muxflow.dataflow.graph.node import Node, check_name
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import check_nodes, listed
from muxflow.dataflow.op import IntArray, Ports, Role
from muxflow.dataflow.text import shown

T = TypeVar("T")

BATCH = 32
"""Images computed at once: keeps the windows of a CIFAR-sized layer in tens of megabytes."""

EVERY = -1
"""As a row of a tie: all channels."""

Codes = IntArray | tuple[IntArray, ...]
"""One array for a graph of one output, else a tuple with one array an output, in order."""

Values = npt.NDArray[np.float64] | tuple[npt.NDArray[np.float64], ...]


@dataclass(frozen=True)
class Readout:
    """How the host turns the integers of an output stream into the model's output.

    `scale`, `offset`: one number a stream element of the last axis; value = scale * code + offset.
    `order`: position in the stream's flat order of each element of the model's flat output.
    `shape`: the model's output shape without the batch.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def __call__(self, codes: IntArray) -> npt.NDArray[np.float64]:
        """Read model outputs, shape (N, *shape), from codes of shape (N, *stream.shape)."""
        values = codes * np.array(self.scale) + np.array(self.offset)
        ordered: npt.NDArray[np.float64] = values.reshape(len(codes), len(self.order))[:, list(self.order)]
        return ordered.reshape(len(codes), *self.shape)


@dataclass(frozen=True)
class Entry:
    """How the model's input is made of the codes of an input stream, where it is not just those with the channels first.

    `axes`: order of the stream's axes, whose elements in line are the model's input; `shape`: of that, without the batch.
    `mean`, `std`: value = (scale * code - mean) / std, one number or one a channel; () for none. `last`: whether the model's
    own file has the first axis of `shape` last, as Keras has.
    """

    axes: tuple[int, ...]
    shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    last: bool = False

    def __call__(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Make inputs of the model, (N, *shape), of a stream's values scale * code, (N, *shape of the stream)."""
        if self.mean:
            values = np.subtract(values, np.array(self.mean, np.float32))
        if self.std:
            values = np.divide(values, np.array(self.std, np.float32))
        ordered = values.transpose(0, *(1 + axis for axis in self.axes))
        return np.ascontiguousarray(ordered).reshape(len(values), *self.shape)

    def reordered(self, values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Bring values in the order of the model's input, (N, *self.shape), to a stream's shape."""
        ordered = values.reshape(len(values), *(shape[axis] for axis in self.axes))
        return ordered.transpose(0, *(1 + np.argsort(self.axes)))

    def restored(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the values scale * code that normalized ones, (N, *shape of the stream), were made of."""
        restored: npt.NDArray[np.float64] = values * np.array(self.std or 1.0) + np.array(self.mean or 0.0)
        return restored


@dataclass(frozen=True)
class End:
    """Where an output leaves the model before the model's own output.

    `tensor`: the model's tensor that the output stands for; of indices that of the logits. `rest`: the model's nodes
    after it that the host computes, in words, "" for none. `ordered`: whether the rest keeps the order of the elements,
    as a softmax does, so that the largest one stays the largest.
    """

    tensor: str
    rest: str = ""
    ordered: bool = True

    def remark(self) -> str:
        """Say what is left to the host."""
        what = "the outputs are logits" if self.ordered else f"{self.tensor} leaves the chip and is what is compared"
        return f"{self.rest} is left to the host: {what}"


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order over named streams.

    `streams`: every stream by name. `inputs`, `outputs`: the streams at the graph's ends, in the model's order.
    `readouts`: how the host reads an output; the codes are the answer where an output has none.
    `notes`: what an importer wants reports to say (accuracy, data set, source file); strings only.
    `tensors`: the model's tensor that a stream stands for, where there is one; proofs compare the two.
    `ties`: by node of thresholds, (row, input code, output codes) of those inputs at which the float model's rounding
    decides: the node's code for that input, or one of the output codes, which are all that rounding can give there. Those
    of older files list none: there it is the next code that a neighbouring input has. No ties where rounding cannot decide.
    Of a shift the rows are its channels, EVERY stands for all of them.
    `entries`: of inputs that do not hold the codes' values in the usual order, how they are made of them.
    `ends`: of outputs that do not stand for the model's own output, where in the model they do.

    Raises GraphError for a name that is no printable text, MuxflowError for more nodes than `limits.MOST_NODES`.
    """

    name: str
    nodes: tuple[Node, ...]
    streams: Mapping[str, Stream]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    readouts: Mapping[str, Readout] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)
    ties: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    ends: Mapping[str, End] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.name, *self.streams):
            check_name(f"graph {shown(self.name)}", name)
        check_nodes(f"graph {self.name}", len(self.nodes))
        for name in ("streams", "readouts", "notes", "tensors", "ties", "ends", "entries"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[type[Graph], tuple[Any, ...]]:
        # Read-only views of mappings cannot be pickled; other libraries copy and store the layers that hold a graph.
        values = [getattr(self, one.name) for one in fields(self)]
        return Graph, tuple(dict(value) if isinstance(value, MappingProxyType) else value for value in values)

    def ports(self, node: Node) -> Ports:
        """Look up the streams of a node; raises MuxflowError for what is none, as its name."""
        if not isinstance(node, Node):
            raise MuxflowError(f"{self.name}: {shown(node)} is no node; give one of `graph.nodes`")
        return node.ports(self.streams)

    def producers(self) -> dict[str, Node]:
        """Map each stream to the node that writes it; the graph's inputs have none."""
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """Map each stream to the nodes that read it."""
        readers: dict[str, list[Node]] = {name: [] for name in self.streams}
        for node in self.nodes:
            for name in node.inputs:
                readers[name].append(node)
        return readers

    def renamed_outputs(self, name: Callable[[str], str]) -> dict[str, Any]:
        """Give all that the graph says of its outputs with them under other names, as fields to replace."""
        return {
            "outputs": tuple(map(name, self.outputs)),
            "readouts": {name(output): readout for output, readout in self.readouts.items()},
            "ends": {name(output): end for output, end in self.ends.items()},
        }

    def why_no_class(self, output: str) -> str:
        """Say why the largest value of an output, or its first code without a read-out, is not the class; "" where it is.

        It is not where the host computes layers after it that change the order, nor of a map of pixels, of a single value or of
        elements of one bit.
        """
        self._check_names((output,))
        end, readout, stream = self.ends.get(output), self.readouts.get(output), self.streams[output]
        if end is not None and not end.ordered:
            return f"the host computes {end.rest}, which decides the class"
        if readout is not None and sum(size > 1 for size in readout.shape) > 1:
            return f"{output} is a map of shape {readout.shape}, not one value a class"
        if readout is not None and len(readout.order) < 2:
            return f"{output} is a single value, not one a class"
        if readout is not None and (stream.lo, stream.hi) == (0, 1):
            return f"{output} has elements of one bit, of which none is the largest"
        return ""

    def weights(self) -> frozenset[str]:
        """Collect the streams of weight sources: they wait for nothing and repeat in every frame."""
        return frozenset(name for node in self.nodes if node.op.role is Role.SOURCE for name in node.outputs)

    def data_inputs(self, node: Node) -> list[str]:
        """List the streams that a node reads, weights left out."""
        return [name for name, port in zip(node.inputs, node.op.inputs, strict=False) if not port.weights]

    def __call__(self, batch: Batch) -> Codes:
        """Compute the output codes, shape (N, *output.shape) each, for input codes of shape (N, *input.shape) each.

        Raises MuxflowError when the codes have another shape, are not integers, or leave their input's interval.
        """
        values = self.run(batch, keep=self.outputs)
        return single_or_tuple([values[name] for name in self.outputs])

    def run(
        self,
        batch: Batch,
        keep: Sequence[str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, IntArray]:
        """Compute every stream's codes by name (or those in `keep`), `BATCH` frames at a time, or all where it `carries`.

        Weight matrices come without a batch axis. `progress` is told the number of frames finished so far.
        Raises UsageError where `keep` is one name, MuxflowError for names that no stream has, and codes as `check_codes`.
        """
        wanted = tuple(self.streams) if keep is None else listed(keep, f"{self.name}: keep")
        self._check_names(wanted)
        wanted = tuple(dict.fromkeys(wanted))
        codes = self.check_codes(batch)
        count = len(codes[self.inputs[0]])
        parts: dict[str, list[IntArray]] = {name: [] for name in wanted}
        fixed = self.constants()
        size = max(1, count) if self.carries else BATCH
        for start in range(0, count, size):
            values = self.evaluate({name: array[start : start + size] for name, array in codes.items()}, fixed)
            for name in wanted:
                if name not in fixed:
                    parts[name].append(values[name])
            if progress:
                progress(min(start + size, count))
        return {name: fixed[name] if name in fixed else np.concatenate(parts[name]) for name in wanted}

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Compute the outputs for a batch whose codes are not checked, as `Op.compute` does for one op."""
        values = self.evaluate(dict(zip(self.inputs, inputs, strict=True)), self.constants())
        return tuple(values[name] for name in self.outputs)

    def constants(self) -> dict[str, IntArray]:
        """Compute the streams of nodes without inputs, by name."""
        return {
            name: array
            for node in self.nodes
            if not node.inputs
            for name, array in zip(node.outputs, node.op.compute(), strict=True)
        }

    def evaluate(self, codes: Mapping[str, IntArray], constants: Mapping[str, IntArray]) -> dict[str, IntArray]:
        """Compute every stream for one batch of checked input codes by name; `constants`: of `constants()`."""
        values = {**constants, **codes}
        for node in self.nodes:
            if node.inputs:
                results = node.op.compute(*(values[name] for name in node.inputs))
                values.update(zip(node.outputs, results, strict=True))
        return values

    def batches(self, batch: Batch, size: int = BATCH) -> Iterator[tuple[int, dict[str, IntArray]]]:
        """Cut codes into parts of at most `size` frames: (number of the first frame, checked codes by input).

        Each part is checked when it is asked for, so that no copy of all codes is made.
        """
        if size < 1:
            raise MuxflowError(f"{self.name}: batches of {size} frames; give 1 or more")
        arrays = arrays_by_input(self.name, self.inputs, batch)
        check_counts(self.name, arrays)
        for start in range(0, self.frames(arrays), size):
            yield start, self.check_codes({name: array[start : start + size] for name, array in arrays.items()})

    @property
    def carries(self) -> bool:
        """Whether a frame goes on with what the one before left: frames are one sequence, which no batch may cut."""
        return any(node.op.carries for node in self.nodes)

    @property
    def pictures(self) -> int:
        """Of how many pictures over time a frame is, where the one input takes clips (T, H, W, C); 0 of other networks."""
        shapes = [self.streams[name].shape for name in self.inputs]
        return shapes[0][0] if len(shapes) == 1 and len(shapes[0]) == 4 else 0

    def frames(self, batch: Batch) -> int:
        """Count the frames of a batch, of the longest input where they are not of one length."""
        return max(len(array) for array in arrays_by_input(self.name, self.inputs, batch).values())

    def read_out(self, outputs: Codes) -> Values:
        """Read the model's outputs from output codes; codes stay as they are where an output has no readout.

        Raises MuxflowError for a wrong number of arrays, a wrong shape, or a wrong type.
        """
        arrays = outputs if isinstance(outputs, tuple) else (outputs,)
        if len(arrays) != len(self.outputs) or not all(isinstance(codes, np.ndarray) for codes in arrays):
            raise MuxflowError(
                f"{self.name}: expected one array of codes for each output ({', '.join(self.outputs)}), as a tuple where "
                "there are several"
            )
        for name, codes in zip(self.outputs, arrays, strict=True):
            shape = self.streams[name].shape
            if codes.shape[1:] != shape or codes.dtype.kind not in "iu":
                raise MuxflowError(
                    f"{self.name}, output {name}: {codes.dtype} of shape {codes.shape}; expected integer codes (N, "
                    f"{', '.join(map(str, shape))})"
                )
        return single_or_tuple(
            [
                self.readouts[name](codes) if name in self.readouts else codes.astype(np.float64)
                for name, codes in zip(self.outputs, arrays, strict=True)
            ]
        )

    def check_codes(self, batch: Batch) -> dict[str, IntArray]:
        """Bring input codes to int64, by input name.

        Raises MuxflowError naming the graph, and the input where there are several, for a wrong number of arrays, batches
        of different sizes, a wrong shape, a wrong type, or a code outside the interval.
        """
        arrays = arrays_by_input(self.name, self.inputs, batch)
        codes = {name: self._check(name, array) for name, array in arrays.items()}
        check_counts(self.name, codes)
        return codes

    def _check(self, name: str, array: npt.NDArray[Any]) -> IntArray:
        where = place(self.name, self.inputs, name)
        stream = self.streams[name]
        check_shape(where, array, stream.shape)
        if array.dtype.kind not in "iu":
            raise MuxflowError(
                f"{where}: images of type {array.dtype}; expected integers in [{stream.lo}, {stream.hi}] "
                "(the codes of the input quantizer)"
            )
        lowest, highest = int(array.min()), int(array.max())
        if lowest < stream.lo or highest > stream.hi:
            raise MuxflowError(
                f"{where}: image codes in [{lowest}, {highest}]; the input holds [{stream.lo}, {stream.hi}] "
                "(the codes of the input quantizer)"
            )
        if ((array.astype(np.int64) - stream.lo) % stream.step).any():
            raise MuxflowError(f"{where}: an image code other than -1 and +1; the input is bipolar")
        return array.astype(np.int64)

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if not isinstance(name, str) or name not in self.streams:
                raise MuxflowError(f"{self.name}: no stream {shown(name)}; give names of `graph.streams`")

    def operations(self) -> int:
        """Count the multiply-accumulates in a frame that the network asks for.

        Those with padding are among them, those with the zeros that a transposed convolution puts between pixels are not.
        """
        return sum(self.operations_by_node().values())

    def operations_by_node(self) -> dict[str, int]:
        """Count the multiply-accumulates of each node, as `operations` does."""
        return operations_of(self.nodes, self.streams)

    def __str__(self) -> str:
        lines = [f"{self.name}: " + ", ".join(f"input {name} {self.streams[name]}" for name in self.inputs)]
        for node in self.nodes:
            outputs = ", ".join(f"{name} {self.streams[name]}" for name in node.outputs)
            lines.append(f"  {node.op.kind:18} {', '.join(node.inputs) or '-'} -> {outputs}")
        return "\n".join([*lines, f"  output {', '.join(self.outputs)}"])


def single_or_tuple(values: Sequence[T]) -> T | tuple[T, ...]:
    """Give one value bare and several as a tuple, as Keras does with outputs."""
    return values[0] if len(values) == 1 else tuple(values)
