"""FINN's projects as a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import Pass, rising_thresholds
from muxflow.dataflow.packages import package
from muxflow.hls import finn
from muxflow.hls.finn.support import IMPLEMENTATIONS
from muxflow.hls.registry import Written
from muxflow.proof.compare import Outcome


@dataclass(frozen=True)
class FinnOptions:
    """The options of FINN's projects: none."""


class FinnTarget:
    """The nodes of FINN and Muxflow's."""

    name = "finn"
    title = f"FINN's (needs finn-plus {finn.SUPPORTED})"
    options = FinnOptions
    implementations: Implementations = IMPLEMENTATIONS
    packages = (package("finn", "FINN output, `muxflow build --target finn`", finn.install_command(), "finn-plus"),)
    marker = finn.FLOW_FILE
    project = finn.KIND
    usage = (
        "`finn run build.py` in it builds it, `muxflow csim` compares it with its graph, and `report/` and "
        "`comparison.json` hold its estimates"
    )

    def passes(self, options: FinnOptions) -> tuple[Pass, ...]:
        """Make thresholds rise, which is what FINN knows."""
        return (rising_thresholds,)

    def check(self, options: FinnOptions, board: str, path: Path) -> None:
        """Raise ToolError without finn-plus, MuxflowError where the folder holds something else."""
        finn.check_version()
        finn.check_folder(path)

    def check_graph(self, graph: Graph, options: FinnOptions, board: str) -> None:
        """Raise UnsupportedError naming what FINN's nodes or its execution cannot take."""
        finn.check_graph(graph)

    def simulate(self, path: Path, codes: Batch) -> Outcome:
        """Compare FINN's Python execution, every tensor of every node."""
        return finn.outcome(path, codes)

    def write(self, design: Design, path: Path, options: FinnOptions, model: Mapping[str, bytes]) -> Written:
        """Write the project and tell FINN's own estimates; see `muxflow.hls.finn.write`."""
        written = finn.write(design, path)
        rows = finn.estimates(written)
        slowest = max(rows, key=lambda row: row.finn_cycles)
        taken = Resources(sum(row.finn_lut for row in rows), 0, sum(row.finn_bram18 for row in rows))
        over = taken.exceeds(design.device.budget(design.utilisation))
        too_large = f"; over the budget in {' and '.join(over)}: give a smaller --lut or --bram" if over else ""
        nodes = ", ".join(slowest.finn_nodes)
        return Written(
            written,
            facts={
                "FINN execution": f"every tensor equals the integer graph on {finn.CHECKED_FRAMES} random frames",
                "FINN slowest node": f"{slowest.node} ({nodes}), {slowest.finn_cycles:,} cycles (estimate)",
                "FINN resources": f"{taken.lut:,} LUT, {taken.bram18:,} BRAM18 (estimate){too_large}",
            },
        )


TARGET = FinnTarget()
