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
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.limits import check_option, number_text, plain, set_plain
from muxflow.dataflow.text import in_one_line, shown

STANDARD, MUXFLOW = "", "muxflow"
"""Domains of operators: ONNX's own, and Muxflow's."""
QUANTIZED = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
"""Domains under which QONNX, FINN and Brevitas write their operators."""
CHANNELS_LAST = "qonnx.custom_op.channels_last"
"""Domain of QONNX' operators on channel-last maps, weights of convolutions included."""
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
        return f"{in_one_line(self.name)} ({in_one_line(self.shown)})"


@dataclass(frozen=True)
class Grid:
    """The integers that an input holds: `lo` to `hi`, or -1 and +1 where it is `bipolar`; `scale`: what one step is."""

    lo: int
    hi: int
    scale: float = 1.0
    bipolar: bool = False

    @classmethod
    def of_bits(cls, bits: int, signed: bool = False, scale: float = 1.0) -> Grid:
        """Give all integers of so many bits."""
        return cls(-(1 << bits - 1), (1 << bits - 1) - 1, scale) if signed else cls(0, (1 << bits) - 1, scale)


@dataclass(frozen=True)
class ModelInput:
    """An input of the model.

    `shape`: without the batch; None or 0 where a size is open. `grid`: the integers that the input holds where the file
    says so. `dtype`: of its numbers as NumPy calls it, "" where the file does not say.
    """

    name: str
    shape: tuple[int | None, ...]
    grid: Grid | None = None
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


HOST = "left to the host"
"""What `check` says of a node that the chip does not compute, and the host does after it."""


@dataclass(frozen=True)
class NodeStatus:
    """What `check` says of one node: supported or not, and what to do; of one that the host computes HOST.

    `message`: of one that is supported a remark, as on a quantizer that was forgotten, or "".
    `reached`: False where nothing is known, because the node reads what one that is not supported writes.
    """

    node: str
    op_type: str
    supported: bool
    message: str
    reached: bool = True


Layout = Literal["channels-first", "channels-last"]
DESCRIBE = (
    "say what its integers are: input_bits=8, input_signed=True or False, input_scale=what one step stands for (command "
    "line: --input-bits 8 --input-unsigned --input-scale 1/255 for pixels over 255, --input-signed --input-scale 1/128 for "
    "signed numbers over 128)"
)
"""What to do about an input whose integers are not known."""


@dataclass(frozen=True)
class ImportOptions:
    """What a model file leaves open.

    `input_scale`: value of one step of the integer inputs, for models whose inputs do not go straight into a quantizer
    (for example 1/255 for pixels that were divided by 255); None takes it from that quantizer.
    `input_bits`, `input_signed`: the integers, 8 bits without a sign where they are None. `input_mean`, `input_std`: what
    is subtracted from an input's value and what it is divided by then, one number or one a channel; () for neither.
    These four need `input_scale`.
    `input_layout`: where the channels of maps are in the model's inputs; None takes it from the first node that reads
    them as maps.
    `loaded`: nodes whose weights are loaded at run time, by their names in the graph, () for all, None for none: intervals
    and thresholds then hold for any weights of as many bits. `stateful`: whether recurrent layers go on from frame to frame.
    Raises UsageError when a field is out of range.
    """

    input_scale: float | None = None
    input_bits: int | None = None
    input_signed: bool | None = None
    input_layout: Layout | None = None
    input_mean: tuple[float, ...] = ()
    input_std: tuple[float, ...] = ()
    loaded: tuple[str, ...] | None = None
    stateful: bool = False

    def __post_init__(self) -> None:
        set_plain(self, "input_scale", "input_bits")
        for name in ("input_mean", "input_std"):
            object.__setattr__(self, name, tuple(map(plain, getattr(self, name))))
        if self.input_scale is not None:
            remedy = "it must be positive, for example 1/255"
            check_option(self.input_scale, LEAST_SCALE, 1 / LEAST_SCALE, "input scale {}", remedy)
        if self.input_bits is not None:
            check_option(self.input_bits, 1, 16, "input of {} bits", "supported are 1 to 16")
            if int(self.input_bits) != self.input_bits:
                raise UsageError(f"input of {number_text(self.input_bits)} bits; supported are 1 to 16")
        for one in self.loaded or ():
            if not isinstance(one, str):
                raise UsageError(f"loaded: {shown(one)} is no name of a node; give names, or () for all weights")
        for name in ("input_signed", "stateful"):
            if not isinstance(getattr(self, name), bool | np.bool_ | None):
                raise UsageError(f"{name.replace('_', ' ')} {shown(getattr(self, name))}; give True or False")
        for value in self.input_std:
            check_option(value, LEAST_SCALE, 1 / LEAST_SCALE, "input standard deviation {}", "it must be positive")
        for value in self.input_mean:
            check_option(value, -1 / LEAST_SCALE, 1 / LEAST_SCALE, "input mean {}", "it must be finite")
        if not isinstance(self.input_layout, str | None) or self.input_layout not in (None, *get_args(Layout)):
            raise UsageError(f"input layout {shown(self.input_layout)}; supported are {', '.join(get_args(Layout))}")
        described = self.input_bits is not None or self.input_signed is not None or self.input_mean or self.input_std
        if self.input_scale is None and described:
            raise UsageError(
                "an input's bits, sign, mean and standard deviation are said with its scale; give input_scale"
            )

    def grid(self) -> Grid | None:
        """Give the integers of the inputs, None where they are not described."""
        if self.input_scale is None:
            return None
        return Grid.of_bits(int(self.input_bits or 8), bool(self.input_signed), float(self.input_scale))

    def remark(self) -> str:
        """Say what was taken for granted of the inputs, "" for nothing."""
        if self.input_scale is None or (self.input_bits is not None and self.input_signed is not None):
            return ""
        grid = self.grid()
        assert grid is not None
        return (
            f"the input is taken to hold the integers {grid.lo} to {grid.hi}, {float(self.input_scale):g} a step; "
            "--input-bits and --input-signed or --input-unsigned say it"
        )
