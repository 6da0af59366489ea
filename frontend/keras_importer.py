"""Keras and QKeras in, integer graph out.

TensorFlow runs in a process of its own (`keras_export`), which writes a neutral description: each quantizer in it is the
list of float32 numbers at which the quantizer itself jumps. From there on the import is that of QONNX.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.float_chain import Floats
from muxflow.frontend.import_handlers import HANDLERS as ONNX_HANDLERS
from muxflow.frontend.import_quantizers import ACTIVATION_BITS, INPUT_BITS, Quantizer, activation
from muxflow.frontend.importer import Handler, Importer, ImportOptions, NodeStatus, attribute, model_name
from muxflow.frontend.keras_process import keras_child, other_keras
from muxflow.frontend.values import Image, Tensor, Value

SUFFIXES = (".h5", ".hdf5", ".keras")


@dataclass(frozen=True, eq=False)
class StepQuantizer(Quantizer):
    """A quantizer that is given by its jumps; `codes` has one more entry than `thresholds`."""

    thresholds: Floats = field(kw_only=True)
    codes: IntArray = field(kw_only=True)

    def levels(self, values: Floats, scale: Floats, zero_point: Floats) -> Floats:
        """Values of the level that each input reaches; `zero_point` is 0."""
        reached = self.codes[np.searchsorted(self.thresholds, values, side="right")]
        return np.asarray(reached * scale.astype(np.float64), np.float32)

    def interval(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return int(self.codes[0]), int(self.codes[-1])


def _steps(importer: Importer, node: onnx.NodeProto) -> Value:
    """Steps: see `keras_writer`."""
    thresholds, codes, scale = (importer.constant(node, position) for position in (1, 2, 3))
    quantizer = StepQuantizer(scale, np.zeros(1, np.float32), thresholds=thresholds, codes=codes)
    value = importer.values[node.input[0]]
    at_input = isinstance(value, Image) and importer.options.input_scale is None
    bits = INPUT_BITS if at_input else ACTIVATION_BITS
    if codes[-1] - codes[0] >= 1 << bits:
        raise UnsupportedError(
            f"a quantizer with codes from {codes[0]} to {codes[-1]}; supported are {bits} bits"
            f"{' at the input' if at_input else ', and up to 16 at the input'}"
        )
    if isinstance(value, Image) and at_input:
        return _open_input(importer, node, value, quantizer)
    tensor = importer.tensor(node, 0)
    if any(step.op_type == "Mul" for step in tensor.steps):
        # A batch norm, which TensorFlow rounds in another order where oneDNN computes it: its near ties count.
        tensor = replace(tensor, exact=False)
    return activation(importer, node, tensor, quantizer)


def _open_input(importer: Importer, node: onnx.NodeProto, image: Image, quantizer: StepQuantizer) -> Tensor:
    lo, hi = quantizer.interval()
    bipolar = (lo, hi) == (-1, 1) and len(quantizer.codes) == 2
    every = np.arange(lo, hi + 1, 2 if bipolar else 1)
    values = (every * quantizer.scale).astype(np.float32)
    again = quantizer.codes[np.searchsorted(quantizer.thresholds, values, side="right")]
    if not np.array_equal(again, every):
        raise UnsupportedError(
            f"the input quantizer does not give back its own values (some of the codes from {lo} to "
            f"{hi} are missing or move), so the input is no plain integer; use quantized_bits or quantized_relu with "
            "alpha=1 at the input, or say what one input step stands for: input_scale=1/255 (command line: "
            "--input-scale 1/255)"
        )
    return importer.open_input(image, lo, hi, quantizer.scale.astype(np.float64), bipolar=bipolar)


def _unsupported(importer: Importer, node: onnx.NodeProto) -> Value:
    """A layer that the child could not describe."""
    raise UnsupportedError(str(attribute(node, "message", "")))


HANDLERS: dict[str, Handler] = {**ONNX_HANDLERS, "Steps": _steps, "Unsupported": _unsupported}


def describe_models(paths: Sequence[Path]) -> list[onnx.ModelProto | MuxflowError]:
    """The neutral descriptions of Keras models, all from one start of TensorFlow (some seconds).

    A file that cannot be read, or was written by Keras 3, gives its error in the list. Raises ToolError when the extra
    is not installed or the child ends without an answer, MuxflowError naming the first file that is absent.
    """
    for path in paths:
        if not path.is_file():
            raise MuxflowError(
                f"model {path}: no such file; supported are .onnx (QONNX), {', '.join(SUFFIXES)} (Keras 2 with QKeras) and "
                ".npz (saved by Muxflow)"
            )
    foreign = [other_keras(path) for path in paths]
    readable = [path for path, complaint in zip(paths, foreign, strict=True) if complaint is None]
    described = iter(_describe(readable) if readable else ())
    return [complaint or next(described) for complaint in foreign]


def _describe(paths: Sequence[Path]) -> list[onnx.ModelProto | MuxflowError]:
    with tempfile.TemporaryDirectory(prefix="muxflow_keras_") as folder:
        outputs = [Path(folder) / f"{index}.onnx" for index in range(len(paths))]
        pairs = [str(part.resolve()) for pair in zip(paths, outputs, strict=True) for part in pair]
        with keras_child("keras_export", pairs, "Keras models") as child:
            answers = [child.answer(f"model {path}") for path in paths]
        return [_described(output, answer) for output, answer in zip(outputs, answers, strict=True)]


def _described(output: Path, answer: dict[str, Any]) -> onnx.ModelProto | MuxflowError:
    if answer["error"] is None:
        return onnx.ModelProto.FromString(output.read_bytes())
    return (MuxflowError if answer["supported"] else UnsupportedError)(str(answer["error"]))


def _description(path: Path) -> onnx.ModelProto:
    (described,) = describe_models([path])
    if isinstance(described, MuxflowError):
        raise described
    return described


def graph_of(description: onnx.ModelProto, name: str, options: ImportOptions | None = None) -> Graph:
    """The integer graph of a description; raises UnsupportedError naming the first layer that is not supported."""
    return Importer(description, name, options or ImportOptions()).import_graph(HANDLERS)


def load_keras(path: Path, options: ImportOptions | None = None) -> Graph:
    """The integer graph of a Keras 2 or QKeras model file.

    Raises UnsupportedError naming the first layer that is not supported, MuxflowError for a file that Keras cannot
    read, ToolError when the extra `qkeras` is not installed.
    """
    return graph_of(_description(Path(path)), model_name(Path(path)), options)


def check_description(
    description: onnx.ModelProto, name: str, options: ImportOptions | None = None
) -> list[NodeStatus]:
    """What of a description is supported, node by node, and what to do about the rest."""
    return Importer(description, name, options or ImportOptions()).statuses(HANDLERS)


def check_keras(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """`check_description` of a Keras model file; raises MuxflowError and ToolError like `load_keras`."""
    return check_description(_description(Path(path)), model_name(Path(path)), options)
