"""hls4ml out: a design as a model of hls4ml, whose compile(), predict() and build() its users know.

Needs the hls4ml package (`pip install 'muxflow[reference]'`); it is imported when one of these functions is called.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal

from muxflow.dataflow.design import Design
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.hls.names import identifier

Backend = Literal["Vitis", "Vivado", "VivadoAccelerator"]

SUPPORTED = "1.3"
"""The hls4ml release whose Extension API this is written for and tested with."""


def register() -> None:
    """Adds our layers to hls4ml, for its Vitis, Vivado and VivadoAccelerator back ends; a second call does nothing.

    Raises ToolError when hls4ml is absent or of another release.
    """
    install = f"pip install 'hls4ml=={SUPPORTED}.*'"
    try:
        found = package_version("hls4ml")
    except PackageNotFoundError:
        raise ToolError(f"hls4ml is not installed: {install}") from None
    if found.split(".")[:2] != SUPPORTED.split("."):
        raise ToolError(f"hls4ml {found} is installed; supported: {SUPPORTED}.*: {install}")
    from muxflow.hls.hls4ml.layers import register_layers

    register_layers()


def convert(
    design: Design, output_dir: str | Path, *, backend: Backend = "Vitis", project_name: str | None = None
) -> Any:
    """The hls4ml ModelGraph of a design: every node of the design is a layer, every kernel and table is ours.

    `backend`: a back end of hls4ml, io_stream always. `project_name`: the top function, the graph's name when None.
    The model takes and gives integer codes, shape (N, *input.shape) in float32 or float64, and its `predict` equals the
    graph bit for bit; nothing is written before `write()` or `compile()`.
    Raises ToolError when hls4ml is absent or of another release, MuxflowError naming what hls4ml cannot express.
    """
    if backend not in ("Vitis", "Vivado", "VivadoAccelerator"):
        raise MuxflowError(f"back end {backend!r}; supported: 'Vitis', 'Vivado', 'VivadoAccelerator'")
    name = identifier(design.graph.name) if project_name is None else project_name
    if identifier(name) != name:
        raise MuxflowError(f"project name {name!r}; it becomes a C++ function, for example {identifier(name)!r}")
    register()
    from muxflow.hls.hls4ml.conversion import model_graph

    return model_graph(design, Path(output_dir).absolute(), backend, name)
