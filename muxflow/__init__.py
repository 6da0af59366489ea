"""Muxflow: streaming FPGA accelerators for ultra-low-bit networks, verified bit for bit.

graph = muxflow.load("model.onnx")
design = muxflow.fit(graph, board="pynq-z2")
project = muxflow.write(design, "build/")
result = project.csim(images)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from muxflow.dataflow.errors import (
    BudgetError,
    GraphError,
    MachineFault,
    MismatchError,
    MuxflowError,
    ToolError,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from muxflow.api import Project, check, fit, load, open_project, save, write
    from muxflow.board.driver import Accelerator, AcceleratorError
    from muxflow.dataflow.fit.design import Design
    from muxflow.dataflow.fit.device import Utilisation
    from muxflow.dataflow.graph.graph import Graph
    from muxflow.dataflow.version import __version__
    from muxflow.hls.vitis.project import ProjectOptions
    from muxflow.preparation import prepare_for_hls4ml

__all__ = [
    "Accelerator",
    "AcceleratorError",
    "BudgetError",
    "Design",
    "Graph",
    "GraphError",
    "MachineFault",
    "MismatchError",
    "MuxflowError",
    "Project",
    "ProjectOptions",
    "ToolError",
    "UnsupportedError",
    "UsageError",
    "Utilisation",
    "__version__",
    "check",
    "fit",
    "load",
    "open_project",
    "prepare_for_hls4ml",
    "save",
    "write",
]

# Loaded on first use: every part of Muxflow imports this package, and the API imports every part.
_LAZY = {name: "muxflow.api" for name in ("Project", "check", "fit", "load", "open_project", "save", "write")}
_LAZY["Accelerator"] = _LAZY["AcceleratorError"] = "muxflow.board.driver"
_LAZY["Design"] = "muxflow.dataflow.fit.design"
_LAZY["Utilisation"] = "muxflow.dataflow.fit.device"
_LAZY["ProjectOptions"] = "muxflow.hls.vitis.project"
_LAZY["prepare_for_hls4ml"] = "muxflow.preparation"
_LAZY["Graph"] = "muxflow.dataflow.graph.graph"
_LAZY["__version__"] = "muxflow.dataflow.version"


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'muxflow' has no attribute {name!r}")
