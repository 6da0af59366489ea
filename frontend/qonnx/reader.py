"""QONNX and streamlined FINN-ONNX in, integer graph out."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.finn.handlers import annotated_input
from muxflow.frontend.importer.handlers import HANDLERS
from muxflow.frontend.importer.walk import Importer, ImportOptions, NodeStatus, model_name

__all__ = ["ImportOptions", "NodeStatus", "check_qonnx", "load_qonnx", "read_model"]


def read_model(path: Path) -> onnx.ModelProto:
    """Reads a model file; raises MuxflowError naming it when it is absent, empty or not ONNX.

    Brevitas' rounding mode ROUND_TO_ZERO gets the name that QONNX has for it, DOWN.
    """
    path = Path(path)
    if not path.is_file():
        raise MuxflowError(f"model {path}: no such file; give a QONNX file, or train one with `muxflow train`")
    model = onnx.ModelProto()
    try:
        data = path.read_bytes()
        model.ParseFromString(data)
        load_external_data_for_model(model, str(path.parent))
    except OSError as error:
        raise MuxflowError(f"model {path}: cannot be read ({error}); save it in one file") from error
    except Exception as error:  # protobuf's DecodeError has no stable import path
        raise MuxflowError(f"model {path}: not an ONNX file or cut short ({error}); export the model again") from error
    if not data:
        raise MuxflowError(f"model {path}: the file is empty; export the model again")
    if not model.graph.node or not model.graph.output:
        raise MuxflowError(f"model {path}: not a whole ONNX model (no nodes or no output); export the model again")
    for node in model.graph.node:
        for entry in node.attribute:
            if entry.name == "rounding_mode" and entry.s.upper() == b"ROUND_TO_ZERO":
                entry.s = b"DOWN"
    return model


def load_qonnx(path: Path, options: ImportOptions | None = None) -> Graph:
    """The integer graph of a QONNX or FINN-ONNX file; raises UnsupportedError naming the first node that is not supported."""
    return _importer(path, options).import_graph(HANDLERS)


def check_qonnx(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """What of a QONNX file is supported, node by node, and what to do about the rest.

    Raises MuxflowError where the file or its input cannot be read at all.
    """
    return _importer(path, options).statuses(HANDLERS)


def _importer(path: Path, options: ImportOptions | None) -> Importer:
    model = read_model(path)
    options = options or ImportOptions()
    if options.input_scale is None:
        options = annotated_input(model) or options
    return Importer(model, model_name(Path(path)), options)
