"""A `Model` as a file, on its way from the child process that holds Keras: a JSON header and arrays in one `.npz`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.files import write_atomically
from muxflow.frontend.model import Constant, Model, ModelInput, ModelNode

HEADER = "header"


def write_model_file(model: Model, path: Path) -> None:
    """Write a model whose attributes are numbers, strings and tuples of them; the file appears whole or not at all."""
    arrays: dict[str, Any] = {}
    for number, constant in enumerate(model.constants.values()):
        arrays[f"value{number}"] = constant.value
        if constant.codes is not None:
            arrays |= {f"codes{number}": constant.codes, f"scale{number}": constant.scale}
    header = {
        "name": model.name,
        "nodes": [
            (node.name, node.op_type, node.inputs, node.outputs, dict(node.attributes), node.domain, node.kind)
            for node in model.nodes
        ],
        "inputs": [(entry.name, entry.shape) for entry in model.inputs],
        "outputs": model.outputs,
        "constants": list(model.constants),
        "opset": model.opset,
        "metadata": dict(model.metadata),
        "computed_by": model.computed_by,
        "observable": None if model.observable is None else sorted(model.observable),
    }
    buffer = io.BytesIO()
    arrays[HEADER] = np.array(json.dumps(header))
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_model_file(path: Path) -> Model:
    """Read what `write_model_file` wrote."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays[HEADER]))

    def constant(number: int) -> Constant:
        value = arrays[f"value{number}"]
        known = f"codes{number}" in arrays
        return Constant(value, arrays[f"codes{number}"], arrays[f"scale{number}"]) if known else Constant(value)

    return Model(
        header["name"],
        tuple(ModelNode(*map(_tuples, entry)) for entry in header["nodes"]),
        tuple(ModelInput(*map(_tuples, entry)) for entry in header["inputs"]),
        tuple(header["outputs"]),
        {name: constant(number) for number, name in enumerate(header["constants"])},
        header["opset"],
        header["metadata"],
        header["computed_by"],
        None if header["observable"] is None else frozenset(header["observable"]),
    )


def read_arrays(path: Path) -> list[npt.NDArray[Any]]:
    """Read what `np.savez` wrote of arrays without names, in their order."""
    with np.load(path) as found:
        return [found[f"arr_{number}"] for number in range(len(found.files))]


def _tuples(value: Any) -> Any:
    """Turn JSON's lists into tuples."""
    if isinstance(value, dict):
        return {key: _tuples(entry) for key, entry in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
