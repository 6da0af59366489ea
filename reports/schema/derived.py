"""The figures that the field derives from a report's: each with its unit and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.quantities import rounded
from muxflow.reports.schema.report import Report

OPERATIONS_A_MAC = 2
"""A product and a sum are two operations, as the field counts GOPS."""


@dataclass(frozen=True)
class Figure:
    """A derived figure: what it is called, its value (None where what it is made of did not run), its unit, what it is.

    `more_is_better`: whether a design with more of it is the better one.
    """

    name: str
    value: float | None
    unit: str
    what: str
    more_is_better: bool = True

    @property
    def text(self) -> str:
        """The value with its unit, of a share in per cent."""
        if self.value is None:
            return "not run"
        return f"{rounded(self.value)} {self.unit}" if self.unit else f"{100 * self.value:.1f} %"


def derived(report: Report) -> tuple[Figure, ...]:
    """Derive GOPS and what it is set against, frames/s/kLUT, efficiency and energy a frame."""
    gops = OPERATIONS_A_MAC * report.operations * report.frames_per_second / 1e9
    counted = report.counted
    kilo = counted.used.get("LUT", 0) / 1e3
    rate_is = f"rate by {report.interval_is}"
    luts = f"LUT {counted.title}; {rate_is}"
    watts = report.watts
    power = (
        f"report_power of {report.power.tool}, whole chip; {rate_is}" if report.power is not None else "power not run"
    )
    microjoules = None if watts is None else 1e6 * watts / report.frames_per_second
    return (
        Figure("GOPS", gops, "GOPS", f"two operations a MAC; {rate_is}"),
        Figure("GOPS/W", None if not watts else gops / watts, "GOPS/W", power),
        Figure("GOPS/kLUT", gops / kilo if kilo else None, "GOPS/kLUT", luts),
        Figure("frames/s/kLUT", report.frames_per_second / kilo if kilo else None, "frames/s/kLUT", luts),
        Figure(
            "efficiency",
            report.efficiency,
            "",
            f"share of {report.products:,} products a cycle that are MACs of the network; {report.interval_is}",
        ),
        Figure("energy a frame", microjoules, "µJ", power, more_is_better=False),
        Figure("energy a frame, counted", report.microjoules, "µJ", report.energy_is, more_is_better=False),
    )
