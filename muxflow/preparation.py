"""From a trained model to one that hls4ml's converter of the same library reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.model import ImportOptions
from muxflow.frontend.registry import load
from muxflow.hls import hls4ml

Shapes = tuple[int, ...] | tuple[tuple[int, ...], ...]


def prepare_for_hls4ml(
    model: Any,
    *,
    input_shape: Shapes | None = None,
    input_scale: float | None = None,
    standard_layers: bool = True,
) -> Any:
    """Make a model of the same library that hls4ml's own converter reads and computes exactly, values in and values out.

    `model`: a QONNX file, ModelProto or ModelWrapper gives a channels-last ModelWrapper for `convert_from_onnx_model`; a
    PyTorch module (Brevitas, `muxflow.frontend.training.layers`; `input_shape`: its (C, H, W), one for each input where there
    are several) a module for
    `convert_from_pytorch_model`; a Keras 2 model (QKeras, `muxflow.frontend.training.keras.mognet`) one for
    `convert_from_keras_model`; a `Graph` a ModelWrapper. `input_scale`: as in `muxflow.load`. `standard_layers`: as in
    `muxflow.hls.hls4ml.prepare`, which does the work on the graph.

    Raises UnsupportedError naming the first layer that is not supported, ToolError for hls4ml, MuxflowError where
    `input_shape` is missing; warns where an input or output has no fixed-point values.
    """
    hls4ml.register()
    options = ImportOptions(input_scale)
    if _is(model, "torch.nn"):
        return hls4ml.prepare(_graph_of_torch(model, input_shape, options), "torch", standard_layers=standard_layers)
    if _is(model, "keras") or _is(model, "tf_keras"):
        return hls4ml.prepare(_graph_of_keras(model, options), "keras", standard_layers=standard_layers)
    graph = model if isinstance(model, Graph) else _graph_of_onnx(model, options)
    return hls4ml.prepare(graph, "onnx", standard_layers=standard_layers)


def _is(model: Any, package: str) -> bool:
    """Tell whether a base class of a model comes from a package, which need not be installed."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in type(model).__mro__)


def _graph_of_torch(model: Any, input_shape: Shapes | None, options: ImportOptions) -> Graph:
    from muxflow.frontend.brevitas.export import export

    if input_shape is None:
        raise MuxflowError(
            f"prepare_for_hls4ml({type(model).__name__}): a PyTorch model does not tell its input; give input_shape"
        )
    one_input = tuple(size for size in input_shape if not isinstance(size, tuple))
    shapes = tuple(shape for shape in input_shape if isinstance(shape, tuple)) or (one_input,)
    with scratch_folder() as folder:
        file = export(model, folder / "model.onnx", tuple((1, *shape) for shape in shapes))
        return load(file, options)


def _graph_of_keras(model: Any, options: ImportOptions) -> Graph:
    from muxflow.frontend.importer.walk import import_model
    from muxflow.frontend.keras.v2.export import describe
    from muxflow.frontend.keras.v2.unfold import unfolded

    whole = unfolded(model, f"model {model.name}")
    return import_model(describe(whole).model, options)


def _graph_of_onnx(model: Any, options: ImportOptions) -> Graph:
    if isinstance(model, str | Path):
        return load(Path(model), options)
    proto = getattr(model, "model", model)
    if not hasattr(proto, "SerializeToString"):
        raise MuxflowError(
            f"prepare_for_hls4ml: an object of type {type(model).__name__}; supported: a QONNX file, ModelProto or "
            "ModelWrapper, a PyTorch module, a Keras 2 model, a Graph"
        )
    with scratch_folder() as folder:
        file = folder / "model.onnx"
        file.write_bytes(proto.SerializeToString(deterministic=True))
        return load(file, options)
