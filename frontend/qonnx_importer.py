"""QONNX in, integer graph out."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph import Graph
from muxflow.frontend.import_handlers import HANDLERS
from muxflow.frontend.importer import Importer, ImportOptions, NodeStatus

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
    """The integer graph of a QONNX file; raises UnsupportedError naming the first node that is not supported."""
    importer = Importer(read_model(path), _model_name(path), options or ImportOptions())
    importer.run(HANDLERS, collect=False)
    return importer.graph()


def check_qonnx(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """What of a QONNX file is supported, node by node, and what to do about the rest.

    Raises MuxflowError where the file or its input cannot be read at all.
    """
    importer = Importer(read_model(path), _model_name(path), options or ImportOptions())
    statuses = importer.run(HANDLERS, collect=True)
    if all(status.supported for status in statuses):
        try:
            importer.graph()
        except MuxflowError as error:
            statuses.append(NodeStatus("output", "", False, str(error)))
    return statuses


def _model_name(path: Path) -> str:
    return re.sub(r"\W+", "_", Path(path).stem).strip("_") or "model"
