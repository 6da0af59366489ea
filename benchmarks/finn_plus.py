"""CNV and TFC, random weights, through Muxflow and through FINN+: the fastest designs of both inside one budget.

    make benchmark-finn       or    .venv/bin/python benchmarks/finn_plus.py --finn-python build/finn/bin/python

Both sides read the same QONNX file. FINN+ folds for many target rates with many limits on stream widths; its folds are
made into our designs, so that both sides' LUTs, block RAMs and rates come from one cost model and one cycle simulation
of the pipeline with its FIFOs. FINN+'s own figures stand beside: bounds of the rate, resources without FIFOs.
"""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table
from side_by_side.nodes import node_table

import muxflow
from muxflow.against.finn_designs import CLOCK_MHZ, FINN_BOARD, FinnDesign, LayerFolds, run_finn
from muxflow.against.pricing import BOARD, STREAMED, Priced, Pricing, unscaled
from muxflow.board.board import find_board
from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources, Utilisation
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo_bnn
from muxflow.hls.kernels import KERNELS

PUBLISHED = Path(__file__).with_name("calibrate") / "vendor_results" / "published-designs.csv"

TARGETS = {
    "cnv": tuple(round(500 * 1.05**step) for step in range(62)),
    "tfc": tuple(round(10_000 * 1.2**step) for step in range(30)),
}
"""Target rates that FINN+ folds for, frames/s: CNV from 500 to 9,800, TFC from 10,000 to 1,978,000."""
AIMS = {"cnv_w1a1": 6000, "cnv_w1a2": 3000, "cnv_w2a2": 3000}
"""Frames a second that Muxflow should reach inside the budget."""
AHEAD = 1.5
"""Times FINN+'s rate that it should reach."""


def fastest_by_own(designs: tuple[FinnDesign, ...], budget: Resources) -> FinnDesign | None:
    """Find FINN+'s fastest design inside the budget by its own estimates, converters counted; the smaller of equals."""
    inside = [design for design in designs if design.target_fps and not design.joined.exceeds(budget)]
    return min(inside, key=lambda design: (design.slowest_cycles, design.joined.lut), default=None)


def published(name: str, file: Path = PUBLISHED) -> Iterator[tuple[str, LayerFolds, Resources]]:
    """Yield placed designs of a network whose folds are published: what it is, the folds, LUTs and block RAMs."""
    folds = ""
    with file.open(newline="") as rows:
        for row in csv.DictReader(rows):
            told = row["fold_PE_SIMD_per_layer"]
            folds = folds if told == "as above" else told
            pairs = re.findall(r"\((\d+),(\d+)\)", folds)
            if row["network"].lower().replace(" ", "_") == name and pairs:
                layers = LayerFolds(tuple((int(pe), int(simd)) for pe, simd in pairs))
                yield (
                    row["what"],
                    layers,
                    Resources(int(row["lut"]), int(row["ff"]), int(row["bram18"]), int(row["dsp"])),
                )


def over_budget(resources: Resources, budget: Resources) -> str:
    """Name the resources that exceed the budget."""
    return ", ".join(resources.exceeds(budget))


def ours(design: Design) -> tuple[str, ...]:
    """Format what the cost model and the simulation say of a design of either side."""
    used = design.resources
    return (
        f"{design.interval:,}",
        f"{design.frames_per_second:,.0f}",
        f"{used.lut:,}",
        f"{used.bram18}",
        over_budget(used, design.allowance),
    )


def theirs(design: FinnDesign | None) -> tuple[str, ...]:
    """Format what FINN+ says of a design; no rate for folds that it was given, nothing for those that it has not."""
    if design is None:
        return "", "no such folds", ""
    rate = f"{design.frames_per_second:,.0f}" if design.target_fps else ""
    return rate, f"{design.resources.lut:,} + {design.converter_lut:,}", f"{design.resources.bram18}"


def total_table() -> Table:
    """Make the empty table of whole designs."""
    table = Table(title=f"{FINN_BOARD} at {CLOCK_MHZ:g} MHz", title_justify="left")
    columns = ("network", "sure", "design", "interval", "frames/s", "LUT", "BRAM18", "over")
    for column in (*columns, "FINN+: frames/s", "LUT", "BRAM18"):
        justify: JustifyMethod = "left" if column in ("network", "design", "over") else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    return table


class Benchmark:
    """The benchmark of one network."""

    def __init__(self, name: str, output: Path) -> None:
        self.name = name
        model = zoo_bnn.randomise(zoo_bnn.build(name))
        self.path = export(model, output / f"{name}.onnx", (1, *model.config.input_shape))
        self.targets = TARGETS[model.config.topology]
        self.graph: Graph = muxflow.load(self.path)
        self.notes: list[str] = []

    def tell(self, text: str) -> None:
        """Show progress."""
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)

    def fit(self, sure: float, fps: int | None) -> Design | None:
        """Fit our side; None, and a note of what binds, where the rate is not reached."""
        started = time.perf_counter()
        try:
            design = muxflow.fit(self.graph, BOARD, clock_mhz=CLOCK_MHZ, fps=fps, sure=sure)
        except BudgetError as error:
            self.notes.append(f"{sure:.0%} sure: {error}")
            return None
        self.tell(f"{sure:.0%} sure, {fps or 'fastest'}: {time.perf_counter() - started:.1f} s")
        return design

    def run(self, python: Path, totals: Table) -> Table | None:
        """Add the network's rows to the table; gives its node by node comparison."""
        levels = (unscaled(), Utilisation().sure)
        goals = [(sure, fps) for sure in levels for fps in (None, *filter(None, [AIMS.get(self.name)]))]
        fitted = [(sure, fps, design) for sure, fps in goals if (design := self.fit(sure, fps)) is not None]
        self.tell("FINN+ folds for its targets")
        designs = [design for *_, design in fitted]
        swept, given = run_finn(python, self.path, self.targets, designs, tell=self.tell)
        self.tell(f"{len(swept)} distinct designs of FINN+")
        best: Priced | None = None
        for sure in levels:
            label = "-" if sure == levels[0] else f"{sure:.0%}"
            for (at, fps, design), same in zip(fitted, given, strict=True):
                if at == sure:
                    what = f"Muxflow, {f'{fps:,} asked' if fps else 'fastest'}"
                    totals.add_row(self.name, label, what, *ours(design), *theirs(same))
            for what, implementations in (("", KERNELS), (" weights streamed", STREAMED)):
                found_best = Pricing(self.graph, Utilisation(sure=sure), implementations).fastest(swept, self.tell)
                if found_best is not None:
                    design = f"FINN+{what} {_asked(found_best.theirs)}"
                    totals.add_row("", label, design, *ours(found_best.ours), *theirs(found_best.theirs))
                    self.notes.append(self._ahead(sure, f"{label}{what}", fitted, found_best))
                    best = best if what else found_best
        self._beside(swept, totals)
        totals.add_section()
        return None if best is None else node_table(self.graph, best.theirs)

    def _ahead(self, sure: float, label: str, fitted: list[tuple[float, int | None, Design]], best: Priced) -> str:
        rate = max((design.frames_per_second for at, _, design in fitted if at == sure), default=0.0)
        adapted = "; ".join(best.adapted) or "none"
        ratio = rate / best.ours.frames_per_second
        return f"sure {label}: Muxflow is {ratio:.2f} times as fast (aim {AHEAD:g}). Folds of FINN+ adapted: {adapted}"

    def _beside(self, swept: tuple[FinnDesign, ...], totals: Table) -> None:
        """Add FINN+'s best by its own estimates and the published designs, all as our model sees them."""
        pricing = Pricing(self.graph, Utilisation(sure=unscaled()))
        own = fastest_by_own(swept, find_board(BOARD).device.budget(Utilisation()))
        if own is not None:
            totals.add_row("", "", f"FINN+ by its own {_asked(own)}", *ours(pricing.price(own.layers)[0]), *theirs(own))
        met: LayerFolds | None = None
        for what, layers, placed in published(self.name):
            if layers != met:
                totals.add_row("", "", "BNN-PYNQ's folds", *ours(pricing.price(layers)[0]))
            met = layers
            totals.add_row("", "", f"  placed: {what}", "", "", f"{placed.lut:,}", f"{placed.bram18}")


def _asked(design: FinnDesign) -> str:
    return f"({design.target_fps:,}, width {design.wwidth_max})"


def main(
    finn_python: Annotated[Path, typer.Option(help="Python of the environment that FINN+ is in.")] = Path(
        "build/finn/bin/python"
    ),
    networks: Annotated[str, typer.Option(help="Networks, with commas between.")] = ",".join(zoo_bnn.PRESETS),
    output: Annotated[Path, typer.Option(help="Folder for models and FINN+'s figures.")] = Path("build/finn_plus"),
) -> None:
    """Run the benchmark."""
    console = Console(width=165)
    output.mkdir(parents=True, exist_ok=True)
    totals = total_table()
    benchmarks = [Benchmark(name, output) for name in networks.split(",")]
    details = [benchmark.run(finn_python, totals) for benchmark in benchmarks]
    console.print(totals)
    console.print(
        "interval, frames/s, LUT, BRAM18: of either side's folds by the same cost model and cycle simulation, FIFOs, width\n"
        "converters, thresholds and pools counted. Budget: 70 % of the LUTs, 90 % of the block RAMs, less the shell. sure: how\n"
        "sure a design must be to fit; - where estimates count as they are. FINN+ (target, width): its fastest design inside,\n"
        "built of the same kernels; weights streamed: with FINN's streamers in place of tables that are read in place.\n"
        "FINN+'s own figures: a bound of the rate, LUTs of its nodes + of its converters, no FIFOs. placed: by the vendor tool."
    )
    for benchmark in benchmarks:
        for note in benchmark.notes:
            console.print(f"{benchmark.name}: {note}", highlight=False)
    for table in details:
        if table is not None:
            console.print(table)


if __name__ == "__main__":
    typer.run(main)
