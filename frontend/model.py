"""The float model as a reader gives it: nodes, constants, inputs and outputs, with no file format left in it.

A reader (`muxflow.frontend.registry.Frontend`) makes a `Model`; the importer makes the integer graph of it. Operators are
those of ONNX by name, input order and attributes, of QONNX and FINN (domains "qonnx.custom_op.general",
"finn.custom_op.general"), and Muxflow's own (domain "muxflow", see `muxflow.frontend.qonnx.ops`). Feature maps are channel
first there, (N, C, L), (N, C, H, W) or (N, C, D, H, W), vectors are (N, features).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.limits import check_option

STANDARD, MUXFLOW = "", "muxflow"
"""Domains of operators: ONNX's own, and Muxflow's."""
QUANTIZED = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
"""Domains under which QONNX, FINN and Brevitas write their operators."""
LEAST_SCALE = 1e-30
"""Of an input's step, and one over it the greatest: beyond, thresholds in float32 have no numbers left (decision)."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant; where its quantizer is known, `codes` and `scale` with value = scale * codes.

    `value`: an array of any type; `codes`: integers of the same shape; `scale`: positive, broadcasts against `codes`.
    """

    value: npt.NDArray[Any]
    codes: npt.NDArray[np.int64] | None = None
    scale: npt.NDArray[np.float64] = field(default_factory=lambda: np.ones(1))


@dataclass(frozen=True, eq=False)
class ModelNode:
    """One operator with the names of its tensors; "" stands for an input that is left out.

    `attributes`: by name; numbers, strings, arrays, and tuples of numbers or strings. `kind`: what the file calls it, as
    the class of a Keras layer, where that is not the operator.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = STANDARD
    kind: str = ""

    @property
    def shown(self) -> str:
        """What messages call the operator: the file's own word."""
        return self.kind or self.op_type

    @property
    def label(self) -> str:
        """How messages name the node."""
        return f"{self.name} ({self.shown})"


@dataclass(frozen=True)
class ModelInput:
    """An input of the model.

    `shape`: without the batch; None or 0 where a size is open. `bits`, `signed`: the integers that the input holds where
    the file says so; one step of them stands for 1. `dtype`: of its numbers as NumPy calls it, "" where the file does not
    say.
    """

    name: str
    shape: tuple[int | None, ...]
    bits: int | None = None
    signed: bool = False
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network in evaluation mode: nodes in topological order over named tensors.

    `outputs`: names of tensors; `constants`: by name; `opset`: version of ONNX whose meaning the standard operators have;
    `metadata`: what the file says of its training, text by key; `computed_by`: the library that computes the model's own
    predictions, "" where the file's operators define them; `observable`: the tensors whose values that library can show
    beside the outputs, None for all of them.
    """

    name: str
    nodes: tuple[ModelNode, ...]
    inputs: tuple[ModelInput, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Constant]
    opset: int = 20
    metadata: Mapping[str, str] = field(default_factory=dict)
    computed_by: str = ""
    observable: frozenset[str] | None = None


def model_name(path: Path) -> str:
    """Name a model by its file, in letters, digits and underscores."""
    return re.sub(r"\W+", "_", path.stem).strip("_") or "model"


@dataclass(frozen=True)
class NodeStatus:
    """What `check` says of one node: supported or not, and what to do."""

    node: str
    op_type: str
    supported: bool
    message: str


@dataclass(frozen=True)
class ImportOptions:
    """What a model file leaves open.

    `input_scale`: value of one step of the integer inputs, for models whose inputs do not go straight into a quantizer
    (for example 1/255 for pixels that were divided by 255); None takes it from that quantizer.
    `input_bits`, `input_signed`: the integer inputs, used with `input_scale`.
    Raises UsageError when a field is out of range.
    """

    input_scale: float | None = None
    input_bits: int = 8
    input_signed: bool = False

    def __post_init__(self) -> None:
        if self.input_scale is not None:
            remedy = "it must be positive, for example 1/255"
            check_option(self.input_scale, LEAST_SCALE, 1 / LEAST_SCALE, "input scale {}", remedy)
        check_option(self.input_bits, 1, 16, "input of {} bits", "supported are 1 to 16")
