"""The Python API: load a model, fit it to a board, write the project, simulate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy.typing as npt

from muxflow.board.board import Board, find_board
from muxflow.board.deploy import write_driver
from muxflow.board.driver import Accelerator
from muxflow.dataflow.fit import design as dataflow_design
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.design import before_width_converters
from muxflow.dataflow.fit.device import Utilisation
from muxflow.dataflow.fit.timing import have_compiler
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend import registry
from muxflow.frontend.model import ImportOptions, NodeStatus
from muxflow.hls.vitis import csim
from muxflow.hls.vitis.project import Project as HlsProject
from muxflow.hls.vitis.project import ProjectOptions, load_project, write_project


def load(
    path: str | Path, *, input_scale: float | None = None, input_bits: int = 8, input_signed: bool = False
) -> Graph:
    """The integer graph of a model file that a reader takes: QONNX and FINN-ONNX (`.onnx`), Keras 2 with QKeras or Keras 3
    with HGQ2 (`.h5`, `.hdf5`, `.keras`), a graph saved by Muxflow (`.npz`), and those of other packages.

    `input_scale`, `input_bits`, `input_signed`: the integer inputs, for models that do not begin with a quantizer.
    Raises MuxflowError when the file cannot be read, UnsupportedError naming the first node that is not supported,
    ToolError when what the reader needs is not installed (for Keras: TensorFlow and QKeras, or Keras 3 and HGQ2).
    """
    return registry.load(Path(path), ImportOptions(input_scale, input_bits, input_signed))


def check(
    path: str | Path, *, input_scale: float | None = None, input_bits: int = 8, input_signed: bool = False
) -> list[NodeStatus]:
    """What `load` would say of every node of a model file: supported, or why not and what to do.

    Raises MuxflowError when the file cannot be read, ToolError when what the reader needs is not installed.
    """
    return registry.check(Path(path), ImportOptions(input_scale, input_bits, input_signed))


@dataclass(frozen=True)
class Project:
    """A written HLS project that can be simulated."""

    hls: HlsProject

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.hls.path

    @property
    def design(self) -> dataflow_design.Design:
        """The design behind it."""
        return self.hls.design

    def csim(
        self,
        images: npt.ArrayLike,
        variant: csim.Variant = "native",
        *,
        bounded: bool = False,
        verify: bool = True,
        jobs: int = 1,
        progress: csim.Progress | None = None,
    ) -> csim.CsimResult:
        """C simulation of input codes (N, H, W, C); with `verify` every node is compared with the graph.

        `variant`: "native" or "reference" (ap_int types). `bounded`: FIFOs have exactly their depths.
        Raises MismatchError at the first difference, ToolError when the compiler is absent or a deadlock is found.
        """
        run = csim.verify if verify else csim.run_csim
        return run(self.hls, images, variant, bounded=bounded, jobs=jobs, progress=progress)

    def emulate(self, *, batch: int = 64, timeout: float = 600.0) -> Accelerator:
        """The driver's `Accelerator`, played by this project's C simulation; raises AcceleratorError."""
        return Accelerator.emulate(self.path, batch=batch, timeout=timeout)

    def write_driver(self, folder: str | Path) -> list[Path]:
        """Writes what runs on the board, the bitstream aside; see `muxflow.board.deploy.write_driver`."""
        return write_driver(self.hls, Path(folder))


@dataclass(frozen=True)
class Design(dataflow_design.Design):
    """A design that knows how to become a project."""

    def frontier(self, *, points: int = 12) -> tuple[folding.FrontierPoint, ...]:
        """Interval against resources inside the budget, fastest first, with FIFOs that hold what this design's do
        (estimate); see `muxflow.dataflow.fit.folding.frontier`."""
        graph = before_width_converters(self.graph)
        return folding.frontier(graph, folding.held_elements(self), self.budget, points=points)

    def slowdown_curve(self, slowdown: float) -> tuple[folding.SlowdownPoint, ...]:
        """What FIFOs cost when they may slow the design down by up to `slowdown` per cent, by cycle simulation.

        Raises ToolError without a C++ compiler.
        """
        return folding.slowdown_curve(self, slowdown)

    def write(
        self,
        path: str | Path,
        *,
        options: ProjectOptions | None = None,
        vectors: IntArray | None = None,
        extra: Mapping[str, bytes] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Project:
        """Writes the HLS project; see `muxflow.hls.vitis.project.write_project`."""
        written = write_project(self, Path(path), options=options, vectors=vectors, extra=extra, progress=progress)
        return Project(written)


def fit(
    graph: Graph,
    board: str | Board = "pynq-z2",
    *,
    clock_mhz: float | None = None,
    fps: float | None = None,
    latency: float | None = None,
    utilisation: Utilisation | None = None,
    slowdown: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Design:
    """The best design that fits the board, by the resource estimate, FIFOs sized by cycle simulation.

    `board`: a name, a path to a board file, or a Board; `clock_mhz`: the board's own when None; `utilisation`: shares of
    the device that may be used (default 70 % of LUTs and flip-flops, 90 % of block RAM and DSP).
    `fps`: frames a second, or `latency`: seconds for one image; the cheapest design that reaches it, the fastest one that
    fits when both are None. `slowdown`: per cent of the rate that may be given up for smaller FIFOs.
    Without a C++ compiler FIFO depths are conservative, cycles are estimates, and `Design.timing` is None.
    Raises MuxflowError for an unknown board or a target that is not positive, BudgetError naming the nearest point and
    what binds when the target cannot be met.
    """
    chosen = find_board(board) if isinstance(board, str) else board
    clock = chosen.clock_mhz if clock_mhz is None else clock_mhz
    found = folding.fit(
        graph,
        device=chosen.device,
        board=chosen.name,
        clock_mhz=clock,
        utilisation=utilisation,
        target=folding.Target(fps, latency),
        slowdown=slowdown,
        simulated=have_compiler(),
        progress=progress,
    )
    return _public(found)


def _public(design: dataflow_design.Design) -> Design:
    return Design(**{name: getattr(design, name) for name in design.__dataclass_fields__})


def open_project(path: str | Path) -> Project:
    """A project that was written before; raises MuxflowError when the folder holds none."""
    return Project(load_project(Path(path)))
