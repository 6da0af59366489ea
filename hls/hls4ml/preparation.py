"""From a trained model to one that hls4ml's converter of the same front end reads."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.hls.hls4ml.cutting import plan
from muxflow.hls.hls4ml.plan import Plan


def prepared(
    model: Any, input_shape: tuple[int, int, int] | None, input_scale: float | None, standard_layers: bool
) -> Any:
    """See `muxflow.hls.hls4ml.prepare`."""

    def layers(graph: Graph) -> Plan:
        return plan(graph, standard_layers=standard_layers)

    if _is(model, "torch.nn"):
        from muxflow.hls.hls4ml.torch_model import torch_model

        return torch_model(layers(_graph_of_torch(model, input_shape, input_scale)))
    if _is(model, "keras") or _is(model, "tf_keras"):
        from muxflow.hls.hls4ml.keras_model import keras_model

        return keras_model(layers(_graph_of_keras(model, input_scale)))
    from muxflow.hls.hls4ml.onnx_model import onnx_model

    return onnx_model(layers(model if isinstance(model, Graph) else _graph_of_onnx(model, input_scale)))


def _is(model: Any, package: str) -> bool:
    """Whether a base class of a model comes from a package, which need not be installed."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in type(model).__mro__)


def _graph_of_torch(model: Any, input_shape: tuple[int, int, int] | None, input_scale: float | None) -> Graph:
    from muxflow.frontend.brevitas.export import export
    from muxflow.frontend.model import ImportOptions
    from muxflow.frontend.registry import load

    if input_shape is None:
        raise MuxflowError(
            f"prepare({type(model).__name__}): a PyTorch model does not tell its input; give input_shape"
        )
    with tempfile.TemporaryDirectory(prefix="muxflow_hls4ml_") as folder:
        file = export(model, Path(folder) / "model.onnx", (1, *input_shape))
        return load(file, ImportOptions(input_scale))


def _graph_of_keras(model: Any, input_scale: float | None) -> Graph:
    from muxflow.frontend.importer.walk import import_model
    from muxflow.frontend.keras.v2.export import describe
    from muxflow.frontend.keras.v2.unfold import unfolded
    from muxflow.frontend.model import ImportOptions

    whole = unfolded(model, f"model {model.name}")
    return import_model(describe(whole).model, ImportOptions(input_scale))


def _graph_of_onnx(model: Any, input_scale: float | None) -> Graph:
    from muxflow.frontend.model import ImportOptions
    from muxflow.frontend.registry import load

    options = ImportOptions(input_scale)
    if isinstance(model, str | Path):
        return load(Path(model), options)
    proto = getattr(model, "model", model)
    if not hasattr(proto, "SerializeToString"):
        raise MuxflowError(
            f"prepare: an object of type {type(model).__name__}; supported: a QONNX file, ModelProto or ModelWrapper, a "
            "PyTorch module, a Keras 2 model, a Graph"
        )
    with tempfile.TemporaryDirectory(prefix="muxflow_hls4ml_") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(proto.SerializeToString(deterministic=True))
        return load(file, options)
