"""FINN+'s designs of a network: what `finn_estimate.py` is asked, and what it answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.processes import running
from muxflow.dataflow.space import if_full

ESTIMATE = Path(__file__).with_name("finn_estimate.py")
FINN_BOARD = "Pynq-Z2"
CLOCK_MHZ = 100.0

PROGRESS = "progress: "
"""What `finn_estimate.py` begins its lines with that are for a reader; its others are FINN+'s own."""

WIDTHS = (36, 72, 128, 192, 256, 384, 512, 1024, 2048, 4096)
"""Limits on stream widths that FINN+ folds with, bits: from its default to the widest stream of the vendor's tools."""


@dataclass(frozen=True)
class LayerFolds:
    """PE and SIMD of each matrix and PE of each pool in the order of the network, and the cycles of the slowest node.

    `pools`: empty where they are not told. `any_split`: whether the tool says only how many products a matrix does in a
    cycle, so that any PE and SIMD of as many are its fold.
    """

    matrices: tuple[tuple[int, int], ...]
    pools: tuple[int, ...] = ()
    slowest_cycles: int = 0
    any_split: bool = False


@dataclass(frozen=True)
class FinnNode:
    """One node of a folded FINN+ design with its estimates.

    `pe`, `simd`: 1 where the node has none. `depthwise`: a window generator in front of a pool.
    """

    name: str
    op: str
    cycles: int
    lut: int
    bram18: int
    dsp: int
    pe: int = 1
    simd: int = 1
    rows: int = 0
    columns: int = 0
    depthwise: bool = False

    @staticmethod
    def parse(entry: Mapping[str, Any]) -> FinnNode:
        """Read a node of `finn_estimate.py`'s JSON."""
        renamed = {"PE": "pe", "SIMD": "simd", "MH": "rows", "MW": "columns"}
        known = {field.name for field in fields(FinnNode)}
        values = {renamed.get(key, key): value for key, value in entry.items()}
        node = {key: value for key, value in values.items() if key in known}
        return FinnNode(**{**node, "depthwise": bool(node.get("depthwise", False))})


@dataclass(frozen=True)
class FinnDesign:
    """A folded FINN+ design: `resources` without width converters, which `converter_lut` would add, and without FIFOs."""

    target_fps: int
    wwidth_max: int
    slowest_cycles: int
    frames_per_second: float
    resources: Resources
    converter_lut: int
    seconds: float
    nodes: tuple[FinnNode, ...]

    @staticmethod
    def parse(entry: Mapping[str, Any]) -> FinnDesign:
        """Read a design of `finn_estimate.py`'s JSON."""
        return FinnDesign(
            entry["target_fps"],
            entry["wwidth_max"],
            entry["slowest_cycles"],
            entry["frames_per_second"],
            Resources(entry["lut"], 0, entry["bram18"], entry["dsp"]),
            entry["converters"]["lut"],
            entry["seconds"],
            tuple(FinnNode.parse(node) for node in entry["nodes"]),
        )

    @property
    def joined(self) -> Resources:
        """What FINN+ estimates with its width converters, without FIFOs."""
        return self.resources + Resources(self.converter_lut)

    @property
    def layers(self) -> LayerFolds:
        """The folds of matrices and pools."""
        matrices = tuple((node.pe, node.simd) for node in self.of("MVAU"))
        return LayerFolds(matrices, tuple(node.pe for node in self.of("Pool")), self.slowest_cycles)

    def of(self, op: str, *, depthwise: bool = False) -> tuple[FinnNode, ...]:
        """List the nodes of an op, window generators in front of pools apart from the others."""
        return tuple(node for node in self.nodes if node.op.startswith(op) and node.depthwise == depthwise)


def parse_designs(text: str) -> tuple[FinnDesign, ...]:
    """Read the designs in `finn_estimate.py`'s output, in its order."""
    return tuple(FinnDesign.parse(entry) for entry in json.loads(text)["designs"])


def finn_folds(design: Design) -> dict[str, list[tuple[int, int, int]]] | None:
    """Write a design's folds as `finn_estimate.py --folds` takes them: PE, SIMD, whether a window is sent whole.

    None where FINN+ has no such folds: several neighbouring pixels at once, or a part of a window's positions.
    """
    folds: dict[str, list[tuple[int, int, int]]] = {"MVAU": [], "ConvolutionInputGenerator": [], "Pool": []}
    for node in design.graph.nodes:
        fold, ports = design.folds[node.name], design.graph.ports(node)
        if fold.pixels > 1:
            return None
        if isinstance(node.op, MatrixVector):
            folds["MVAU"].append((fold.pe, fold.simd, 0))
        elif isinstance(node.op, SlidingWindow):
            positions = node.op.positions(ports, fold)
            if positions not in (1, prod(node.op.kernel)):
                return None
            folds["ConvolutionInputGenerator"].append((1, node.op.beat_lanes(ports, fold), int(positions > 1)))
        elif isinstance(node.op, Pool):
            folds["Pool"].append((fold.pe, 1, 0))
    return folds


def run_finn(
    python: Path,
    model: Path,
    targets: Sequence[int],
    ours: Sequence[Design],
    widths: Sequence[int] = WIDTHS,
    tell: Callable[[str], None] = lambda _: None,
    part: str = "",
    clock_mhz: float = CLOCK_MHZ,
) -> tuple[tuple[FinnDesign, ...], tuple[FinnDesign | None, ...]]:
    """Run FINN+'s estimate flow in its own environment, for the targets and widths, and for the folds of `ours`.

    Returns the designs of both; None for folds that FINN+ has not. Its JSON is kept beside the model; `tell` is called with
    its progress. `part`: the device, that of FINN_BOARD when empty. Raises ToolError with the end of its messages when it
    fails.
    """
    if not python.is_file():
        raise ToolError(f"no FINN+ environment at {python}: `make benchmark-finn` makes it")
    folds = model.with_suffix(".folds.json")
    given = [finn_folds(design) for design in ours]
    known = [entry for entry in given if entry is not None]
    folds.write_text(json.dumps(known))
    command = [str(python), str(ESTIMATE), str(model), "--folds", str(folds)]
    command += ["--part", part] if part else ["--board", FINN_BOARD]
    command += ["--clock-mhz", str(clock_mhz), "--fps", *map(str, targets)]
    command += ["--mvau-wwidth-max", *map(str, widths)]
    last: deque[str] = deque(maxlen=20)
    with scratch_folder() as scratch, (scratch / "answer").open("w+") as answer:
        # What FINN+ leaves where temporary files go, because it is killed, goes with the folder.
        environment = {**os.environ, "TMPDIR": str(scratch)}
        pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": answer, "stderr": subprocess.PIPE}
        with running(command, env=environment, text=True, errors="replace", **pipes) as run:
            assert run.stderr is not None
            for line in run.stderr:
                last.append(line)
                if line.startswith(PROGRESS):
                    tell(line.removeprefix(PROGRESS).strip())
            run.wait()
        if run.returncode:
            said = "".join(last)
            raise ToolError(f"FINN+ failed on {model.name}:\n{said}{if_full(said)}")
        answer.seek(0)
        text = answer.read()
    model.with_suffix(".finn.json").write_text(text)
    found = parse_designs(text)
    asked = iter(found[len(found) - len(known) :])
    return found[: len(found) - len(known)], tuple(None if entry is None else next(asked) for entry in given)
