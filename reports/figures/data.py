"""What each figure shows, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from muxflow.reports.figures.style import Data
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KINDS, LayerRow

COMPUTING = ("MatrixVector", "LstmCell")
"""Kinds of nodes that read the weights of a layer."""

NOT_LOOKED_AT = "not run"


def memory(report: Report) -> Data:
    """Set out the bits that each layer stores, by kind, and those that it generates."""

    def row(layer: LayerRow) -> tuple[str | int, ...]:
        stored = layer.bits or {}
        return (layer.name, *(stored.get(kind, 0) for kind in KINDS), layer.saved_bits)

    return Data(("layer", *KINDS, "generated"), tuple(map(row, report.layers)), "bits, counted")


def load(report: Report) -> Data:
    """Set out cycles and LUTs of each layer."""
    rows = tuple((layer.name, layer.cycles, layer.lut, layer.bram18) for layer in report.layers)
    return Data(("layer", "cycles", "LUT", "BRAM18"), rows, "estimate")


def occupancy(report: Report) -> Data:
    """Set out in which share of the cycles each layer's slowest node is busy, starved and blocked."""
    rows = [
        (layer.name, one.busy, one.starved, one.blocked)
        for layer in report.layers
        if (one := layer.activity) is not None and one.busy is not None
    ]
    return Data(("layer", "busy", "starved", "blocked"), tuple(rows), report.activity_is or NOT_LOOKED_AT)


def timeline(report: Report) -> Data:
    """Set out when the first frame is in each layer."""
    rows = [(layer.name, one.start, one.end) for layer in report.layers if (one := layer.activity) is not None]
    return Data(("layer", "start", "end"), tuple(rows), "one frame alone, FIFOs unbounded: estimate")


def frontier(report: Report) -> Data:
    """Set out rate against resources of the designs that no other is better than, and of this one, with its budget."""
    rows: list[tuple[str, float, int, int]] = [
        ("frontier", report.clock_mhz * 1e6 / point.interval, point.used.get("LUT", 0), point.used.get("BRAM18", 0))
        for point in report.frontier
    ]
    rows.append(("this design", report.frames_per_second, report.used["LUT"], report.used["BRAM18"]))
    rows.append(("budget", 0.0, report.budget["LUT"], report.budget["BRAM18"]))
    return Data(("what", "frames/s", "LUT", "BRAM18"), tuple(rows), "estimate")


def roofline(report: Report) -> Data:
    """Set out products a cycle against the bits of weights that are read a cycle meanwhile: as the folds can, and as is done."""
    computing = {row.layer: row.cycles for row in report.nodes if row.kind in COMPUTING}
    rows = [
        (
            layer.name,
            one.weight_bits,
            one.read_bits / cycles,
            one.parallel,
            one.read_bits / report.interval,
            layer.macs / report.interval,
        )
        for layer in report.layers
        if (one := layer.matrix) is not None and (cycles := computing.get(layer.name))
    ]
    columns = ("layer", "weight bits", "bits a cycle", "products a cycle", "bits a cycle done", "MAC a cycle")
    return Data(columns, tuple(rows), f"folds: estimate; done: {report.interval_is}")


def accuracy(reports: Sequence[Report]) -> Data:
    """Set out the accuracy of several designs against bits of parameters and LUTs."""
    rows = [
        (
            report.network,
            100 * report.accuracy.share,
            report.parameter_bits,
            report.counted.used.get("LUT"),
            report.accuracy.source,
            report.accuracy.images,
            report.counted.title,
        )
        for report in reports
        if report.accuracy is not None
    ]
    columns = ("network", "accuracy", "parameter bits", "LUT", "data", "images", "LUT is")
    bases = dict.fromkeys(report.accuracy.basis for report in reports if report.accuracy is not None)
    return Data(columns, tuple(rows), "; ".join(bases))


OF_ONE: Mapping[str, Callable[[Report], Data]] = {
    "memory": memory,
    "load": load,
    "occupancy": occupancy,
    "timeline": timeline,
    "frontier": frontier,
    "roofline": roofline,
}
"""The figures of one design, by name."""
