"""The Python API: load a model, fit it to a board, write the project, simulate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from muxflow.board.board import Board, find_board
from muxflow.board.deploy import write_driver
from muxflow.board.driver import Accelerator
from muxflow.dataflow.errors import MuxflowError, ToolError, UsageError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Utilisation
from muxflow.dataflow.fit.goal import Goal, check_slowdown
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.timing import INSTALL_COMPILER, NO_COMPILER, have_compiler
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k, insert_forks, writable_seeds
from muxflow.dataflow.limits import listed
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.top_k import TopK
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import command_line, shown
from muxflow.frontend import registry
from muxflow.frontend.model import ImportOptions, Layout, NodeStatus
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import owner_of
from muxflow.hls.vitis import csim
from muxflow.hls.vitis.execution import CsimExecution
from muxflow.hls.vitis.project import Project as HlsProject
from muxflow.hls.vitis.project import ProjectOptions, load_project, unchanged
from muxflow.hls.vitis.writing import write_project
from muxflow.proof.compare import Progress, compare

MOST_CHANNELS = 1 << 16
"""Numbers that are looked at where one a channel is expected: more than any input has channels (decision)."""


class InputDescription(TypedDict, total=False):
    """What a model file leaves open of its inputs, see `ImportOptions`."""

    input_scale: float | None
    input_bits: int | None
    input_signed: bool | None
    input_layout: Layout | None
    input_mean: float | Sequence[float]
    input_std: float | Sequence[float]


def _options(given: InputDescription, loaded: Sequence[str] | None = None, stateful: bool = False) -> ImportOptions:
    tuples: dict[str, Any] = {
        name: _numbers(name, given[name]) for name in ("input_mean", "input_std") if name in given
    }
    return ImportOptions(**{**given, **tuples}, loaded=None if loaded is None else tuple(loaded), stateful=stateful)


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    """Give one number, or one a channel, as a tuple; raises UsageError for what is neither."""
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value.item()
    if isinstance(value, Real):
        return (value,)  # type: ignore[return-value]
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str | bytes):
        raise UsageError(f"{name.replace('_', ' ')} {shown(value)}; give a number, or a list of one a channel")
    if len(value) > MOST_CHANNELS:
        raise UsageError(
            f"{name.replace('_', ' ')} of {counted(len(value), 'number')}; give one, or a list of one a channel"
        )
    return tuple(value)


def _file(path: str | Path) -> Path:
    """Give a path as such.

    Raises UsageError for what is none, as bytes, an open file or a model, MuxflowError for one that the system does not
    take, as a name of thousands of characters.
    """
    if not isinstance(path, str | PathLike) or not isinstance(fspath(path), str):
        kind = type(path).__name__
        model = ": save it, onnx.save(model, 'model.onnx'), and give that path" if kind == "ModelProto" else ""
        raise UsageError(f"an object of type {kind} in place of a path; give a str or a pathlib.Path{model}")
    found = Path(path)
    if "\0" in str(found):
        raise MuxflowError(f"{found}: a path holds no null character")
    try:
        found.exists()
    except OSError as error:
        raise MuxflowError(f"{found}: {error.strerror}") from error
    return found


def load(
    path: str | Path,
    *,
    loaded: Sequence[str] | None = None,
    stateful: bool = False,
    **inputs: Unpack[InputDescription],
) -> Graph:
    """Load the integer graph of a model file that a reader takes.

    QONNX and FINN-ONNX (`.onnx`), Keras 2 with QKeras or Keras 3 with HGQ2 (`.h5`, `.hdf5`, `.keras`), a graph saved by
    Muxflow (`.npz`), and those of other packages.
    `inputs`: the integer inputs of models that do not begin with a quantizer. `input_scale`: what one step of them stands
    for; `input_bits`, `input_signed`: 8 bits without a sign where they are not given; `input_mean`, `input_std`: one number
    or one a channel, value = (scale * code - mean) / std. `input_layout`: "channels-first" or "channels-last", found by
    the first node that reads a map where it is not given.
    `loaded`: nodes whose weights are loaded at run time, by their names in the graph or those of their weights' nodes; () for
    all. Intervals and thresholds then hold for any weights of as many bits, so that another training of the same network can
    be loaded (`Project.write_weights`); None stores all weights. `stateful`: recurrent layers go on from frame to frame, for a
    video without end; else each frame, which is a clip, begins anew.
    Raises MuxflowError when the file cannot be read, UnsupportedError naming the first node that is not supported,
    ToolError when what the reader needs is not installed (for Keras: TensorFlow and QKeras, or Keras 3 and HGQ2).
    """
    file = _file(path)
    _check_no_project(file)
    if loaded is not None:
        loaded = listed(loaded, "muxflow.load: loaded", ", or () for all weights")
    return registry.load(file, _options(inputs, loaded, stateful))


def save(graph: Graph, path: str | Path) -> None:
    """Write a graph to a `.npz` file that `load` reads; the same bytes for the same graph.

    Raises MuxflowError for another type of file, and where it cannot be written.
    """
    _expect(graph, Graph, "save", "muxflow.load gives one")
    file = _file(path)
    if file.suffix != ".npz":
        raise MuxflowError(f"{file}: a graph is saved as .npz")
    write_graph(graph, file)


def check(path: str | Path, **inputs: Unpack[InputDescription]) -> list[NodeStatus]:
    """Return what `load` would say of every node of a model file: supported, or why not and what to do.

    `inputs`: as `load` takes them.
    Raises MuxflowError when the file cannot be read, ToolError when what the reader needs is not installed.
    """
    file = _file(path)
    _check_no_project(file)
    return registry.check(file, _options(inputs))


@dataclass(frozen=True)
class Project:
    """A written HLS project that can be simulated."""

    hls: HlsProject

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.hls.path

    @property
    def design(self) -> Design:
        """The design that it was written from."""
        return self.hls.design

    def csim(
        self,
        images: Batch,
        variant: csim.Variant = "native",
        *,
        bounded: bool = False,
        verify: bool = True,
        jobs: int = 1,
        progress: Progress | None = None,
        weights: str | Path | None = None,
    ) -> csim.CsimResult:
        """Simulate input codes in C, shape (N, *input.shape) an input; with `verify` every node is compared with the graph.

        Compared codes of inner streams are dropped; `muxflow.hls.vitis.csim.run_csim` records those asked for.
        `variant`: "native" or "reference" (ap_int types). `bounded`: FIFOs have exactly their depths. `weights`: a weight
        file to load, where weights are loaded at run time; the graph is the one with these weights.
        Raises MismatchError at the first difference, ToolError when the compiler is absent or a deadlock is found.
        """
        file = None if weights is None else _file(weights)
        if not isinstance(jobs, Integral) or isinstance(jobs, bool) or jobs < 1:
            raise MuxflowError(f"muxflow.Project.csim, jobs: {shown(jobs)}; expected a number of processes, from 1")
        jobs = int(jobs)
        if not verify:
            with unchanged(self.hls):
                return csim.run_csim(
                    self.hls, images, variant, bounded=bounded, jobs=jobs, progress=progress, weights=file
                )
        graph = self.design.graph if file is None else self.hls.graph_with(file)
        with unchanged(self.hls):
            execution = CsimExecution(self.hls, variant, bounded=bounded, jobs=jobs, weights=file)
            agreed = compare(graph, [execution], images, progress)
        (outcome,) = agreed.outcomes
        return csim.CsimResult(
            variant, agreed.outputs, self.design.graph.outputs, execution.compile_seconds, outcome.seconds
        )

    def emulate(self, *, batch: int = 64, timeout: float = 600.0, weights: str | Path | None = None) -> Accelerator:
        """Return the driver's `Accelerator`, played by this project's C simulation; raises AcceleratorError."""
        file = None if weights is None else _file(weights)
        return Accelerator.emulate(self.path, batch=batch, timeout=timeout, weights=file)

    def write_weights(self, graph: Graph, path: str | Path) -> None:
        """Write the weights of another network of the same topology into a file that this project loads at run time.

        `graph`: as `muxflow.load` gives it with the same nodes `loaded`; what `muxflow build` appended to the project's
        network is appended to it.
        Raises MuxflowError naming the first node that differs in more than loaded weights, a weight that the memory does not
        hold, or a project whose weights are stored.
        """
        _expect(graph, Graph, "Project.write_weights", "muxflow.load gives one")
        for node in self.design.graph.nodes:
            if isinstance(node.op, TopK) and not _has(graph, TopK):
                graph = append_top_k(graph, node.op.k)
            elif isinstance(node.op, ArgMax) and not _has(graph, ArgMax):
                graph = append_arg_max(graph)
        if self.hls.options.seeds == "writable":
            graph = writable_seeds(graph)
        write_atomically(_file(path), self.hls.weight_file(insert_forks(graph)))

    def write_driver(self, folder: str | Path) -> list[Path]:
        """Write what runs on the board, the bitstream aside; see `muxflow.board.deploy.write_driver`."""
        return write_driver(self.hls, _file(folder))


def _has(graph: Graph, op: type[Op]) -> bool:
    return any(isinstance(node.op, op) for node in graph.nodes)


def write(
    design: Design,
    path: str | Path,
    *,
    options: ProjectOptions | None = None,
    vectors: Batch | None = None,
    extra: Mapping[str, bytes] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Project:
    """Write the HLS project of a design into a folder, whole or not at all.

    `options`: the tool, how it is started, which seeds and weights can be written. `vectors`: input codes whose first frames
    the test bench plays, seeded random ones when None. `extra`: further files by name. `progress`: is told what is written.
    Raises MuxflowError when `path` holds something that is not a Muxflow project, or cannot be written.
    """
    _expect(design, Design, "write", "muxflow.fit gives one")
    options, files = (ProjectOptions() if options is None else options), ({} if extra is None else extra)
    _expect(options, ProjectOptions, "write, options", "muxflow.ProjectOptions")
    _expect(files, Mapping, "write, extra", "the bytes of each file by its name")
    for name, data in files.items():
        _expect(name, str, "write, extra", "the name of a file")
        _expect(data, bytes, f"write, extra {name!r}", "what is to stand in the file")
    return Project(write_project(design, _file(path), options=options, vectors=vectors, extra=files, progress=progress))


def fit(
    graph: Graph,
    board: str | Path | Board = "pynq-z2",
    *,
    clock_mhz: float | None = None,
    fps: float | None = None,
    latency: float | None = None,
    utilisation: Utilisation | None = None,
    sure: float | None = None,
    slowdown: float = 0.0,
    nearest: bool = False,
    implementations: Implementations = KERNELS,
    progress: Callable[[str], None] | None = None,
) -> Design:
    """Find the best design that fits the board, by the resource estimate, FIFOs sized by cycle simulation.

    Without a C++ compiler FIFO depths are conservative, cycles are estimates, and `Design.timing` is None; a slowdown, which
    is given up in simulations, then raises ToolError.
    `board`: a name, a path to a board file, or a Board; `clock_mhz`: the board's own when None; `utilisation`: shares of
    the device that may be used (default 70 % of LUTs and flip-flops, 90 % of block RAM and DSP), and how sure the design
    must be to fit (default 80 %); `sure` replaces that.
    `fps`: frames a second, or `latency`: seconds for one image; the cheapest design that reaches it, the fastest one that
    fits when both are None. `slowdown`: per cent of the rate that may be given up for smaller FIFOs.
    `nearest`: where nothing fits, search for the folding that comes nearest, however long it takes, in place of a bound.
    `implementations`: of the target, the HLS kernels by default.
    Raises MuxflowError for an unknown board or a goal that is not positive, BudgetError naming the nearest point and
    what binds when the goal cannot be met.
    """
    _expect(graph, Graph, "fit", "muxflow.load gives one")
    chosen = find_board(str(board)) if isinstance(board, str | Path) else board
    _expect(chosen, Board, "fit, board", "or the name of one, or a path to its file")
    clock = chosen.clock_mhz if clock_mhz is None else clock_mhz
    shares = Utilisation() if utilisation is None else utilisation
    _expect(shares, Utilisation, "fit, utilisation", "shares of the device")
    slowdown = check_slowdown(slowdown)
    simulated = have_compiler()
    if slowdown and not simulated:
        raise ToolError(f"{NO_COMPILER}: what a slowdown saves is found by simulations ({INSTALL_COMPILER})")
    return folding.fit(
        graph,
        implementations,
        device=chosen.device,
        board=chosen.name,
        clock_mhz=clock,
        utilisation=shares if sure is None else replace(shares, sure=sure),
        goal=Goal(fps, latency),
        slowdown=slowdown,
        simulated=simulated,
        nearest=nearest,
        progress=progress,
    )


def open_project(path: str | Path) -> Project:
    """Open a project that was written before; raises MuxflowError when the folder holds none, or a model is given."""
    path = _file(path)
    if path.is_file() and (reader := registry.recognised(path)) is not None:
        folder = Path("build") / path.stem
        raise MuxflowError(
            f"{path}: no project but a model ({reader.title}); build it first: "
            f"`{command_line('build', path, '--output', folder)}`, then give {folder}"
        )
    return Project(load_project(path))


def _check_no_project(path: Path) -> None:
    owner = owner_of(path)
    if owner is not None:
        raise MuxflowError(f"{path}: no model but {owner.project}: {owner.usage}; give the model that it was made of")


def _expect(value: object, kind: type, function: str, source: str) -> None:
    """Raise MuxflowError unless an argument of a function is of a kind; `source`: where one comes from, or what it is."""
    if not isinstance(value, kind):
        raise MuxflowError(f"muxflow.{function}: a {type(value).__name__}; expected a {kind.__name__} ({source})")
