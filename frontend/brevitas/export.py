"""Export of a trained Brevitas model to one deterministic QONNX file.

The file holds `Quant`, `BipolarQuant`, `Conv`, `Mul`, `Add`, `MaxPool`, `GlobalAveragePool`, `Flatten` and the
operators of domain "muxflow" (see `qonnx.ops`), with every shape annotated and nodes named by the model's own modules;
generated weights are not stored.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from brevitas.nn import QuantMultiheadAttention, QuantScaledDotProductAttention, ScaledDotProductAttention
from brevitas.nn.mixin.base import QuantLayerMixin, QuantRecurrentLayerMixin
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.util.cleanup import cleanup_model
from torch import nn

import muxflow.frontend.qonnx.quant_lstm
import muxflow.frontend.qonnx.recurrent  # noqa: F401  registers LstmCell
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.files import check_file, write_atomically
from muxflow.dataflow.graph.batch import Batch, arrays_by_input, check_counts, check_shape, place
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import in_one_line, shown
from muxflow.frontend.brevitas.equality import check_equal, quantizer_calls
from muxflow.frontend.brevitas.manager import inputs_read, write
from muxflow.frontend.brevitas.names import name_nodes, note_modules
from muxflow.frontend.brevitas.repeated import join_again, set_apart
from muxflow.frontend.brevitas.sharing import check_shared_quantizers
from muxflow.frontend.importer.layout import SHUFFLED
from muxflow.frontend.qonnx.execution import wrapped
from muxflow.frontend.qonnx.ops import DOMAIN, DOMAIN_VERSION
from muxflow.frontend.qonnx.reader import name_roundings
from muxflow.frontend.training.joins import MuxJoin
from muxflow.frontend.training.layers import CellularAutomatonConv2d
from muxflow.frontend.training.lstm import QuantLstm

OWN = (CellularAutomatonConv2d, MuxJoin, QuantLstm)
"""Modules that are exported as operators of Muxflow's own domain."""
METADATA_PREFIX = "muxflow."
ATTENTION = (nn.MultiheadAttention, QuantMultiheadAttention, ScaledDotProductAttention, QuantScaledDotProductAttention)
"""Layers of products of activations with each other, which stand in no operator that Muxflow imports."""


SUFFIX = ".onnx"
Shape = tuple[int, ...]
Shapes = Sequence[int] | Sequence[Sequence[int]]


def _checked(model: nn.Module, shapes: Shapes) -> tuple[Shape, ...]:
    """Return one shape for each input; raises MuxflowError where one is none, or the model has no Brevitas layer."""
    several = isinstance(shapes, tuple | list) and any(isinstance(shape, tuple | list) for shape in shapes)
    given = shapes if several else (shapes,)
    for shape in given:
        if not (
            isinstance(shape, tuple | list)
            and 2 <= len(shape) <= 5
            and all(isinstance(size, Integral) and int(size) > 0 for size in shape)
        ):
            raise MuxflowError(
                f"export: input shape {' '.join(shown(shape).split())}; give (N, C, H, W) with positive integers, or "
                "(N, features), (N, C, L), (N, steps, features), (N, C, D, H, W); for a network of several inputs a tuple of "
                "shapes"
            )
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise MuxflowError(
            f"export: {type(model).__name__} holds compiled modules, as Brevitas builds them with BREVITAS_JIT=1; build it "
            "without, and load its state_dict"
        )
    if not any(isinstance(m, QuantLayerMixin | QuantRecurrentLayerMixin) for m in model.modules()):
        raise MuxflowError(
            f"export: {type(model).__name__} holds no Brevitas layer; "
            "build it from brevitas.nn and muxflow.frontend.training.layers"
        )
    _check_layers(model)
    return tuple(tuple(map(int, shape)) for shape in given)  # type: ignore[arg-type]


def _check_layers(model: nn.Module) -> None:
    """Raise UnsupportedError naming a layer that has no form in a file, or whose file cannot be imported."""
    for name, module in model.named_modules():
        what = f"export: {in_one_line(name) or 'the model'} ({type(module).__name__})"
        if isinstance(module, ATTENTION):
            raise UnsupportedError(
                f"{what}: attention is not supported; use convolutions or dense layers, or an LSTM "
                "(muxflow.frontend.training.lstm.QuantLstm), see docs/reference/models.md"
            )
        if isinstance(module, nn.ChannelShuffle):
            raise UnsupportedError(f"{what}: {SHUFFLED}")


def _check_metadata(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise MuxflowError(
                f"export: metadata {shown(key)}: {shown(value)}; keys and values are texts: metadata={{'accuracy': '0.98'}}"
            )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and each of its modules back into its own at the end."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, value in training.items():
            module.training = value


def to_qonnx(model: nn.Module, shapes: Shapes, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
    """Export the model as a cleaned QONNX protobuf, in evaluation mode; same model, same bytes.

    `shapes`: of its input, (N, C, H, W), (N, C, L), (N, C, D, H, W) or (N, features), or a tuple of them, one an input;
    N = 1 for hardware. `metadata`: text pairs, stored under "muxflow.<key>".
    Raises MuxflowError when a shape is another, the model does not run on it or holds no Brevitas layer, UnsupportedError
    when it adds tensors whose quantizers differ, when torch or Brevitas cannot write a layer, and when the protobuf, executed
    on random inputs, does not compute what the model does. Warns where it cannot be executed.
    """
    given = _checked(model, shapes)
    inputs = tuple(torch.zeros(shape) for shape in given)
    _check_metadata(metadata or {})
    with _evaluating(model), warnings.catch_warnings():
        # The TorchScript exporter is the one that can write custom operators; torch announces its successor.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        check_shared_quantizers(model, inputs)
        own = any(isinstance(module, OWN) for module in model.modules())
        raw = write(model, inputs, {DOMAIN: DOMAIN_VERSION} if own else {})
        places = inputs_read(raw)
        note_modules(raw, (name for name, _ in model.named_modules()))
        set_apart(raw)
        cleaned = cleanup_model(ModelWrapper(raw))
        join_again(cleaned.model)
        name_roundings(cleaned.model)
        calls = quantizer_calls(cleaned.model)
        name_nodes(cleaned.model)
        check_equal(model, given, places, cleaned, calls)
    proto: onnx.ModelProto = cleaned.transform(InferDataTypes()).model
    proto.graph.name = "muxflow"
    proto.doc_string = ""
    proto.graph.doc_string = ""
    del proto.metadata_props[:]
    for key, value in sorted((metadata or {}).items()):
        proto.metadata_props.add(key=METADATA_PREFIX + key, value=value)
    return proto


def export(
    model: nn.Module,
    path: str | Path,
    shapes: Shapes,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write `model` to the QONNX file `path` and return it; the file appears whole or not at all.

    `path`: its name ends in .onnx, by which `muxflow.load` knows it. `shapes`: as in `to_qonnx`.
    `metadata`: text pairs (training command, data set, split, accuracy, ...), stored as metadata_props "muxflow.<key>".
    The same model gives the same bytes.
    Raises MuxflowError when the name, the shape, the model or the folder does not fit, UnsupportedError as `to_qonnx`.
    Source: QONNX with this project's operators.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise MuxflowError(f"export: {path}: a network is written as {SUFFIX}, which muxflow.load knows by its name")
    if not path.parent.is_dir():
        raise MuxflowError(f"export: the folder {path.parent} does not exist; create it or choose another path")
    data = to_qonnx(model, shapes, metadata).SerializeToString(deterministic=True)
    write_atomically(path, data)
    return path


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the "muxflow.*" metadata of an exported file, keys without the prefix; raises MuxflowError when it is absent."""
    path = Path(path)
    check_file(path, "export or train a model first", "model")
    properties = onnx.load(str(path)).metadata_props
    return {p.key.removeprefix(METADATA_PREFIX): p.value for p in properties if p.key.startswith(METADATA_PREFIX)}


def execute(path: str | Path, images: Batch, every_tensor: bool = False) -> dict[str, Any]:
    """Run an exported file with QONNX, image by image; returns every output by name, in the file's order, batch axis first.

    `images`: floats of the input's shape, as given to `export`, with any number of images, pixels p/256; of a file of
    several inputs a tuple in their order, or a mapping by name. `every_tensor` adds the inner ones.
    Raises MuxflowError naming the file and its inputs when the number of arrays, a shape or a type does not fit.
    """
    model = wrapped(Path(path))
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry.name for entry in model.graph.input if entry.name not in stored]
    shapes = {name: tuple(model.get_tensor_shape(name)) for name in inputs}
    arrays = _images(f"model {path}", shapes, images)
    wanted = None if every_tensor else [entry.name for entry in model.graph.output]
    rows: dict[str, list[Any]] = {}
    for batch in zip(*(array.reshape(-1, *shapes[name]) for name, array in arrays.items()), strict=True):
        context = execute_onnx(model, dict(zip(inputs, batch, strict=True)), return_full_exec_context=True)
        for name in wanted or context:
            rows.setdefault(name, []).append(context[name])
    return {name: np.concatenate(parts) if np.ndim(parts[0]) else parts[0] for name, parts in rows.items()}


def _images(where: str, shapes: Mapping[str, Shape], images: Batch) -> dict[str, npt.NDArray[np.float32]]:
    """Return the images by input; raises MuxflowError where they do not fit inputs of these shapes."""
    arrays = arrays_by_input(where, tuple(shapes), images, "images")
    for name, (together, *shape) in shapes.items():
        here, array = place(where, tuple(shapes), name), arrays[name]
        check_shape(here, array, tuple(shape))
        if array.dtype.kind != "f":
            raise MuxflowError(f"{here}: images of type {array.dtype}; expected floats (pixels p/256)")
        if len(array) % together:
            raise MuxflowError(
                f"{here}: {counted(len(array), 'image')}; the file takes {together} at a time, give a multiple of it"
            )
    check_counts(where, arrays)
    return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}
