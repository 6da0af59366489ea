"""hls4ml out: a design as a model of hls4ml, whose compile(), predict() and build() its users know.

Needs the hls4ml package (the extra `reference`); it is imported when one of these functions is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.folders import check_replaceable
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import pip_install, require
from muxflow.hls.hls4ml.plan import check_ends
from muxflow.hls.hls4ml.writing import CONFIG_FILE as CONFIG_FILE
from muxflow.hls.hls4ml.writing import write_whole
from muxflow.hls.registry import check_stored

Backend = Literal["Vitis", "Vivado", "VivadoAccelerator"]
Library = Literal["onnx", "torch", "keras"]

SUPPORTED = "1.3"
"""The hls4ml release whose Extension API this is written for and tested with."""
KIND = "an hls4ml project"


def register() -> None:
    """Add Muxflow's layers to hls4ml, for its Vitis, Vivado and VivadoAccelerator back ends; a second call does nothing.

    Raises ToolError when hls4ml is absent or of another release.
    """
    require("hls4ml", f"{SUPPORTED}.*", pip_install(f"hls4ml=={SUPPORTED}.*"))
    from muxflow.hls.hls4ml.layers import register_layers

    register_layers()


def check_backend(backend: str) -> None:
    """Raise MuxflowError unless Muxflow's layers exist for that back end of hls4ml."""
    if backend not in get_args(Backend):
        raise MuxflowError(f"back end {backend!r}; supported: {', '.join(map(repr, get_args(Backend)))}")


def default_backend(board: str, graph: Graph) -> Backend:
    """Choose VivadoAccelerator where hls4ml knows the board and the graph has one input and one output; Vitis elsewhere.

    VivadoAccelerator also writes the block design.
    Raises ToolError when hls4ml is absent or of another release.
    """
    register()
    from muxflow.hls.hls4ml.conversion import accelerator_boards

    return "VivadoAccelerator" if board in accelerator_boards() and not _several(graph) else "Vitis"


def check_target(board: str, backend: Backend) -> None:
    """Raise, before any work, what `write` would: MuxflowError for an unknown back end or board, ToolError for hls4ml."""
    check_backend(backend)
    register()
    if backend == "VivadoAccelerator":
        from muxflow.hls.hls4ml.conversion import accelerator_board

        accelerator_board(board)


def check_graph(graph: Graph, backend: Backend) -> None:
    """Raise UnsupportedError, before the fit, naming what a back end of hls4ml cannot carry in or out of a graph."""
    check_stored(graph, "hls4ml")
    check_ends(graph)
    if backend == "VivadoAccelerator" and _several(graph):
        raise UnsupportedError(
            f"{graph.name}: {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; hls4ml's VivadoAccelerator has "
            "one AXI stream each way: use --backend Vitis or Vivado, or target vitis, `muxflow build`"
        )


def _several(graph: Graph) -> bool:
    return len(graph.inputs) > 1 or len(graph.outputs) > 1


def check_folder(path: Path) -> None:
    """Raise MuxflowError where `write` would replace something that is no hls4ml project."""
    check_replaceable(path, CONFIG_FILE, KIND)


def write(design: Design, path: str | Path, *, backend: Backend = "Vitis", project_name: str | None = None) -> Path:
    """Write the whole hls4ml project of a design, as `convert` makes it, and return its folder.

    The folder appears whole or not at all; an hls4ml project that stands there is replaced. The same design and folder
    give the same bytes. Raises as `convert` does, and MuxflowError where the folder holds something else.
    """
    target = Path(path).absolute()
    check_folder(target)
    check_target(design.board, backend)
    write_whole(lambda folder: convert(design, folder, backend=backend, project_name=project_name), target, design)
    return target


def prepare(graph: Graph, library: Library, *, standard_layers: bool = True) -> Any:
    """Make a model of a library that hls4ml's own converter of it reads and computes exactly, values in and values out.

    `library`: "onnx" gives a channels-last ModelWrapper for `convert_from_onnx_model`, "torch" a module for
    `convert_from_pytorch_model`, "keras" a Keras 2 model for `convert_from_keras_model`. `muxflow.prepare_for_hls4ml`
    takes the model itself.

    Dense convolutions and maximum pools stay layers of hls4ml's own, everything else becomes `MuxflowLayer`s; without
    `standard_layers` those too (weights read in place from ROM, a faster C simulation). `register` is called too.
    Raises UnsupportedError naming the first layer that hls4ml cannot express, ToolError for hls4ml; warns where an input
    or output has no fixed-point values.
    """
    check_stored(graph, "hls4ml")
    register()
    from muxflow.hls.hls4ml.cutting import plan

    layers = plan(graph, standard_layers=standard_layers)
    if library == "torch":
        from muxflow.hls.hls4ml.torch_model import torch_model

        return torch_model(layers)
    if library == "keras":
        from muxflow.hls.hls4ml.keras_model import keras_model

        return keras_model(layers)
    from muxflow.hls.hls4ml.onnx_model import onnx_model

    return onnx_model(layers)


def convert(
    design: Design, output_dir: str | Path, *, backend: Backend = "Vitis", project_name: str | None = None
) -> Any:
    """Convert a design to an hls4ml ModelGraph: every node of the design is a layer, every kernel and table Muxflow's.

    `backend`: a back end of hls4ml, io_stream always. `project_name`: the top function, the graph's name when None.
    The model takes and gives integer codes, shape (N, *input.shape) in float32 or float64, and its `predict` equals the
    graph bit for bit; nothing is written before `write()` or `compile()`.
    Raises ToolError when hls4ml is absent or of another release, MuxflowError naming what hls4ml cannot express.
    """
    check_backend(backend)
    check_graph(design.graph, backend)
    register()
    from muxflow.hls.hls4ml.conversion import model_graph, top_function

    name = top_function(design.graph.name if project_name is None else project_name)
    if project_name not in (None, name):
        raise MuxflowError(f"project name {project_name!r}; it becomes a C++ function, for example {name!r}")
    return model_graph(design, Path(output_dir).absolute(), backend, name)
