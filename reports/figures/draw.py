"""The figures, drawn: no titles, the caption of a paper has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muxflow.reports.figures.style import COLOURS, HATCHES, Data, Draw, grouped, rows_height, short
from muxflow.reports.schema.rows import KIND_TITLES, KINDS

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


def _bars(axis: Any, names: Sequence[str], labels: bool = True) -> range:
    """Lay out an axis for a bar a layer, the first one at the top."""
    places = range(len(names))
    axis.set_yticks(list(places), [short(name) for name in names] if labels else [])
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.4)
    axis.set_axisbelow(True)
    return places


def _stacked(axis: Any, data: Data, parts: Sequence[tuple[str, str, str, str]]) -> None:
    """Draw stacked bars of columns: (column, title, colour, hatch) each; columns that are empty are left out."""
    left = [0.0] * len(data.rows)
    places = _bars(axis, data.column("layer"))
    for name, title, colour, hatch in parts:
        values = data.column(name)
        if any(values):
            axis.barh(
                places, values, 0.72, left, color=colour, hatch=hatch, edgecolor="black", linewidth=0.3, label=title
            )
            left = [a + b for a, b in zip(left, values, strict=True)]


def memory(figure: Any, data: Data, width: float) -> None:
    """Draw the memory budget of each layer; generated weights are hatched and white."""
    rows_height(figure, len(data.rows), width, 1.6)
    axis = figure.add_subplot()
    parts = [(kind, KIND_TITLES[kind], COLOURS[n], HATCHES[n]) for n, kind in enumerate(KINDS)]
    _stacked(axis, data, [*parts, ("generated", "generated, not stored", "white", "////")])
    axis.set_xlabel("bits")
    grouped(axis.xaxis)
    axis.locator_params(axis="x", nbins=4 if width < 5 else 8)
    figure.legend(loc="outside upper center", ncols=3 if width < 5 else 5)


def load(figure: Any, data: Data, width: float) -> None:
    """Draw cycles and LUTs of each layer side by side."""
    rows_height(figure, len(data.rows), width, 1.4)
    axes = figure.subplots(1, 2)
    for number, (axis, name) in enumerate(zip(axes, ("cycles", "LUT"), strict=True)):
        places = _bars(axis, data.column("layer"), labels=number == 0)
        axis.barh(
            places,
            data.column(name),
            0.72,
            color=COLOURS[number],
            hatch=HATCHES[number],
            edgecolor="black",
            linewidth=0.3,
        )
        axis.set_xlabel(f"{name} (estimate)")
        axis.locator_params(axis="x", nbins=3 if width < 5 else 6)
        grouped(axis.xaxis)


def occupancy(figure: Any, data: Data, width: float) -> None:
    """Draw what each layer does with its cycles."""
    rows_height(figure, len(data.rows), width, 1.4)
    axis = figure.add_subplot()
    shares = Data(data.columns, tuple((row[0], *(100 * float(part or 0) for part in row[1:])) for row in data.rows))
    parts = [("busy", COLOURS[0], ""), ("starved", "white", "...."), ("blocked", COLOURS[4], "xxx")]
    _stacked(axis, shares, [(name, name, colour, hatch) for name, colour, hatch in parts])
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of the cycles (cycle simulation)")
    figure.legend(loc="outside upper center", ncols=3)


def timeline(figure: Any, data: Data, width: float) -> None:
    """Draw when one frame is in each layer."""
    rows_height(figure, len(data.rows), width, 1.4)
    axis = figure.add_subplot()
    starts = data.column("start")
    lengths = [end - start for start, end in zip(starts, data.column("end"), strict=True)]
    axis.barh(
        _bars(axis, data.column("layer")), lengths, 0.72, starts, color=COLOURS[0], edgecolor="black", linewidth=0.3
    )
    axis.set_xlabel("cycle (one frame alone, estimate)")
    axis.locator_params(axis="x", nbins=4 if width < 5 else 8)
    grouped(axis.xaxis)


def frontier(figure: Any, data: Data, width: float) -> None:
    """Draw rate against LUTs and against block RAM: the points than which none is faster with as little."""
    axes = figure.subplots(1, 2, sharey=True)
    figure.set_size_inches(width, 0.62 * width if width < 5 else 0.4 * width)
    rows: list[tuple[Any, ...]] = list(data.rows)
    points = [row for row in rows if row[0] == "frontier"]
    (own,) = (row for row in rows if row[0] == "this design")
    (budget,) = (row for row in rows if row[0] == "budget")
    for column, axis in enumerate(axes, 2):
        pairs = [(row[column], row[1]) for row in points]
        best = sorted((x, y) for x, y in pairs if not any(other > y and less <= x for less, other in pairs))
        axis.plot([x for x, _ in best], [y for _, y in best], "-o", color=COLOURS[0], label="cheapest folds")
        axis.plot([own[column]], [own[1]], "*", markersize=8, color=COLOURS[4], label="this design, FIFOs sized")
        axis.axvline(budget[column], linestyle="--", color="0.3", linewidth=0.8, label="budget")
        axis.set_xlabel(data.columns[column])
        axis.grid(alpha=0.4)
        axis.locator_params(axis="x", nbins=3 if width < 5 else 6)
        grouped(axis.xaxis)
    figure.supxlabel("estimate", fontsize="medium")
    axes[0].set_yscale("log")
    axes[0].set_ylabel("frames/s")
    grouped(axes[0].yaxis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)


def roofline(figure: Any, data: Data, width: float) -> None:
    """Draw MAC a cycle against bandwidth of weights: what folds could do, hollow, and do, filled; lines of equal bits."""
    figure.set_size_inches(width, 0.72 * width if width < 5 else 0.5 * width)
    axis = figure.add_subplot()
    bits = sorted(set(data.column("weight bits")))
    for number, precision in enumerate(bits):
        rows = [row for row in data.rows if row[1] == precision]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for row in rows:
            axis.plot([row[2], row[4]], [row[3], row[5]], "-", color=colour, linewidth=0.5)
        axis.plot(
            [row[2] for row in rows],
            [row[3] for row in rows],
            marker,
            markerfacecolor="white",
            markeredgecolor=colour,
            label=f"{precision} bit, folds",
        )
        axis.plot(
            [row[4] for row in rows],
            [row[5] for row in rows],
            marker,
            color=colour,
            label=f"{precision} bit, done",
        )
        reached = [*data.column("bits a cycle"), *data.column("bits a cycle done")]
        ends = [min(reached) / 1.5, max(reached) * 1.5]
        axis.plot(ends, [end / precision for end in ends], ":", color=colour, linewidth=0.8)
    axis.set(xscale="log", yscale="log", xlabel="bits of weights read a cycle", ylabel="MAC a cycle")
    grouped(axis.xaxis)
    grouped(axis.yaxis)
    axis.grid(alpha=0.4)
    if data.rows:
        figure.legend(loc="outside upper center", ncols=4)


def accuracy(figure: Any, data: Data, width: float) -> None:
    """Draw accuracy against bits of parameters and against LUTs, a mark a design."""
    axes = figure.subplots(1, 2, sharey=True)
    figure.set_size_inches(width, 0.66 * width if width < 5 else 0.4 * width)
    for axis, name in zip(axes, ("parameter bits", "LUT"), strict=True):
        for number, (x, y, network) in enumerate(
            zip(data.column(name), data.column("accuracy"), data.column("network"), strict=True)
        ):
            if x is not None:
                look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
                axis.plot([x], [y], linestyle="", label=short(network), **look)
        axis.set_xlabel("bits of stored parameters" if name != "LUT" else name)
        axis.grid(alpha=0.4)
        axis.locator_params(axis="x", nbins=3 if width < 5 else 6)
        grouped(axis.xaxis)
    axes[0].set_ylabel("accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2 if width < 5 else 4)


DRAWINGS: Mapping[str, Draw] = {
    "memory": memory,
    "load": load,
    "occupancy": occupancy,
    "timeline": timeline,
    "frontier": frontier,
    "roofline": roofline,
    "accuracy": accuracy,
}
"""How each figure is drawn, by name."""
