"""`design.json`, `graph.npz` and `asked.json` of a project folder: all that a design is built from again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.fit.design import Design, build_design
from muxflow.dataflow.fit.device import Device, Utilisation
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.fit.goal import Asked
from muxflow.dataflow.fit.timing import Timing
from muxflow.dataflow.fit.timing_layout import Style
from muxflow.dataflow.graph.codec import from_json, to_json
from muxflow.dataflow.graph.file import read_graph, write_graph
from muxflow.dataflow.manifest import edited_files
from muxflow.dataflow.op import Fold
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import command_line, json_text, plainly
from muxflow.dataflow.version import __version__
from muxflow.hls.kernels import KERNELS

DESIGN, GRAPH = "design.json", "graph.npz"
ASKED = "asked.json"
"""What the fit was asked for, apart: the same design is the same, with the same proofs, whatever it was asked for."""
DESIGN_FILES = (DESIGN, GRAPH, ASKED)
"""What nobody edits: a build replaces them unasked where they are damaged."""


@dataclass(frozen=True)
class DesignFile:
    """What `design.json` holds.

    `folds`: of the nodes that have one of their own; `depths`: FIFO depths of the folded graph in beats; `completions`:
    cycles after which the simulated frames had left, None without a simulation, with pipelines of the style `pipelines`;
    `apart`: as `Design` has it; `options`: of the target that wrote it.
    """

    board: str
    device: Device
    clock_mhz: float
    utilisation: Utilisation
    folds: Mapping[str, Fold]
    depths: Mapping[str, int]
    completions: tuple[int, ...] | None
    options: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    pipelines: Style = "flushing"
    apart: int | None = None

    def __post_init__(self) -> None:
        ends = self.completions
        if ends is not None and (not ends or ends[0] < 1 or any(b <= a for a, b in itertools.pairwise(ends))):
            raise MuxflowError("completions: frames leave in order; expected ascending cycles from 1, or null")
        if self.apart is not None and self.apart < 1:
            raise MuxflowError("apart: expected cycles from 1, or null")


def save_design(design: Design, folder: Path, options: Mapping[str, str] | None = None) -> None:
    """Write `graph.npz` (the graph before width converters), `design.json` and `asked.json` into a folder."""
    graph = unfolded(design.graph)
    write_graph(graph, folder / GRAPH)
    entry = DesignFile(
        design.board,
        design.device,
        float(design.clock_mhz),
        design.utilisation,
        {node.name: design.folds[node.name] for node in graph.nodes if not node.op.folds_with_reader},
        design.depths,
        None if design.timing is None else design.timing.completions,
        options or {},
        __version__,
        "flushing" if design.timing is None else design.timing.style,
        design.apart,
    )
    (folder / DESIGN).write_text(json_text(to_json(entry)))
    if design.asked is not None:
        (folder / ASKED).write_text(json_text(to_json(design.asked)))


def load_design(folder: Path) -> tuple[Design, Mapping[str, str]]:
    """Build the design of a project folder again, with the options of its target.

    Raises MuxflowError naming the file, and what in it is missing or does not fit, or that it is not as it was written:
    its cycles would be those of another design.
    """
    file = folder / DESIGN
    try:
        text = read_json(file)
    except (FileNotFoundError, NotADirectoryError):
        free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
        build = command_line("build", "MODEL", "--output", folder)
        remedy = f"`{build}` writes a project" if free else "give the folder of a project"
        raise MuxflowError(f"{file}: no such file; {remedy}") from None
    except OSError as error:
        raise MuxflowError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise MuxflowError(f"{file}: not a Muxflow design ({plainly(error)}); build the project again") from error
    graph = read_graph(folder / GRAPH)
    try:
        entry = from_json(DesignFile, text)
        design = build_design(
            graph,
            entry.folds,
            KERNELS,
            device=entry.device,
            board=entry.board,
            clock_mhz=entry.clock_mhz,
            utilisation=entry.utilisation,
            depths=entry.depths,
            timing=None if entry.completions is None else Timing(entry.completions, {}, {}, 0, entry.pipelines),
        )
        design = replace(design, apart=entry.apart, asked=_asked(folder))
        if design.interval < design.slowest_cycles:
            raise GraphError(
                f"a frame of {counted(design.interval, 'cycle')}, of which the slowest node takes {design.slowest_cycles:,}"
            )
    except MuxflowError as error:
        raise MuxflowError(f"{file}: not a whole Muxflow design ({error}); build the project again") from error
    if changed := edited_files(folder, *DESIGN_FILES):
        raise MuxflowError(
            f"{folder / changed[0]}: changed since Muxflow wrote it, so that sources and figures are of another design (line "
            "ends count, which git may change); build the project again, with the options of what you want"
        )
    return design, entry.options


def _asked(folder: Path) -> Asked | None:
    """Read what the fit was asked for; None where an older version did not say it. Raises MuxflowError for a damaged file."""
    try:
        return from_json(Asked, read_json(folder / ASKED))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, MuxflowError) as error:
        raise MuxflowError(f"{ASKED}: {plainly(error)}") from error
