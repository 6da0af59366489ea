"""A device: how much of each resource a design may use."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.fit.resource_model import ratio
from muxflow.dataflow.limits import check_option, is_number, number_text, plain, set_plain
from muxflow.dataflow.quantities import count
from muxflow.dataflow.text import shown

LEAST_SURE, MOST_SURE = 0.05, 0.95
"""Probabilities between which the errors of estimates are known."""

SLOWEST_CLOCK, FASTEST_CLOCK = 1e-3, 2000.0
"""MHz, from one that a pin could toggle to one that no device reaches (decision): beyond is a mistake of units."""


MOST_AMOUNT = 1 << 40
"""Of one resource of a device: more than any has, and few enough to count with."""


def check_clock(mhz: float) -> float:
    """Give a clock in MHz as Python's own number; raises UsageError for one that is not from SLOWEST_CLOCK to FASTEST_CLOCK."""
    remedy = f"it must be positive, and at most {FASTEST_CLOCK:g}"
    return check_option(mhz, SLOWEST_CLOCK, FASTEST_CLOCK, "a clock of {} MHz", remedy)


@dataclass(frozen=True)
class Resources:
    """Amounts of the resources that a design is budgeted on; `uram`: blocks of UltraRAM, which few parts have."""

    lut: int = 0
    ff: int = 0
    bram18: int = 0
    dsp: int = 0
    uram: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.lut + other.lut,
            self.ff + other.ff,
            self.bram18 + other.bram18,
            self.dsp + other.dsp,
            self.uram + other.uram,
        )

    def items(self) -> tuple[tuple[str, int], ...]:
        """List (name, amount) pairs in table order."""
        return (
            ("LUT", self.lut),
            ("FF", self.ff),
            ("BRAM18", self.bram18),
            ("DSP", self.dsp),
            ("URAM", self.uram),
        )

    def load(self, budget: Resources) -> float:
        """Give the sum of the LUT, BRAM18 and URAM shares of a budget, which is made small."""
        return sum(
            used / max(1, limit)
            for used, limit in ((self.lut, budget.lut), (self.bram18, budget.bram18), (self.uram, budget.uram))
        )

    def share(self, budget: Resources) -> float:
        """Give the largest share of a budget that is used; above 1 where something exceeds it."""
        return max(used / max(1, limit) for (_, used), (_, limit) in zip(self.items(), budget.items(), strict=True))

    def quantile(self, probability: float) -> Resources:
        """Give what a design of this estimate stays below with a probability; block RAM, UltraRAM and DSP are taken as exact."""
        lut, ff = (round(amount * ratio(name, probability)) for name, amount in (("lut", self.lut), ("ff", self.ff)))
        return replace(self, lut=lut, ff=ff)

    def __str__(self) -> str:
        return ", ".join(f"{count(amount)} {name}" for name, amount in self.items() if amount or name != "URAM")

    def exceeds(self, budget: Resources) -> list[str]:
        """Name the resources that are over the budget."""
        return [name for (name, used), (_, limit) in zip(self.items(), budget.items(), strict=True) if used > limit]


AMOUNTS = tuple(field.name for field in fields(Resources))
"""The fields of Resources, in table order."""


def _check_amount(what: str, amount: object) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MOST_AMOUNT:
        raise MuxflowError(f"{what} is {shown(amount)}; expected a whole number from 0 to {MOST_AMOUNT}")


@dataclass(frozen=True)
class Device:
    """What a part offers: LUTs, flip-flops, 18 Kb block RAMs, DSP blocks, 288 Kb UltraRAMs.

    `reserve`: what shell and DMA take of them.

    Raises MuxflowError for a part that is no name of a part, an amount that is no whole number from 0 to MOST_AMOUNT, or
    a reserve that is no Resources of such amounts.
    """

    part: str
    lut: int
    ff: int
    bram18: int
    dsp: int
    reserve: Resources = Resources()
    uram: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.part, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.part):
            raise MuxflowError(
                f"device: part {self.part!r}; a part is letters, digits and dashes, as in xc7z020clg400-1"
            )
        set_plain(self, *AMOUNTS)
        for name in AMOUNTS:
            _check_amount(f"device {self.part}: {name}", getattr(self, name))
        if not isinstance(self.reserve, Resources):
            raise MuxflowError(
                f"device {self.part}: reserve is {self.reserve!r}; expected Resources(lut, ff, bram18, dsp, uram)"
            )
        object.__setattr__(self, "reserve", Resources(**{name: plain(getattr(self.reserve, name)) for name in AMOUNTS}))
        for name in AMOUNTS:
            _check_amount(f"device {self.part}: reserve.{name}", getattr(self.reserve, name))

    def budget(self, utilisation: Utilisation) -> Resources:
        """Give what a design may use of it: the shares, less the reserve."""
        asked = self._shares(utilisation)
        return Resources(**{name: max(0, getattr(asked, name) - getattr(self.reserve, name)) for name in AMOUNTS})

    def spent(self, utilisation: Utilisation) -> str:
        """Say which resources a design may use none of, and why, in words; "" where it may use some of each.

        One that the part has none of is left out.
        """
        asked, left = self._shares(utilisation), self.budget(utilisation)
        names = [name for name in AMOUNTS if getattr(self, name) and not getattr(left, name)]
        held = [name for name in names if getattr(self.reserve, name)]

        def told(amounts: Resources, chosen: list[str]) -> str:
            return ", ".join(f"{count(getattr(amounts, name))} {name.upper()}" for name in chosen)

        none = ", ".join(name.upper() for name in names if name not in held)
        reserve = (
            f"the reserve for shell and DMA, {told(self.reserve, held)}, takes all of the share, {told(asked, held)}"
        )
        parts = (reserve if held else "", f"the share of {none} is less than one" if none else "")
        return "; ".join(filter(None, parts))

    def _shares(self, utilisation: Utilisation) -> Resources:
        return Resources(**{name: int(getattr(self, name) * getattr(utilisation, name)) for name in AMOUNTS})

    def amounts(self, resources: Resources) -> dict[str, int]:
        """Give amounts by name, those of UltraRAM only where the part has any."""
        return {name: amount for name, amount in resources.items() if name != "URAM" or self.uram}

    def allowance(self, utilisation: Utilisation) -> Resources:
        """Give what the estimate of a design may come to, so that it is as sure as asked for to be inside the budget."""
        budget = self.budget(utilisation)
        lut, ff = (
            int(limit / ratio(name, utilisation.sure)) for name, limit in (("lut", budget.lut), ("ff", budget.ff))
        )
        return replace(budget, lut=lut, ff=ff)


@dataclass(frozen=True)
class Utilisation:
    """Shares of a device, in (0, 1]: beyond about 70 % of its LUTs a 7-series part becomes hard to route (decision).

    `sure`: probability with which a design must be inside them, given how far estimates are from vendor tools' figures.
    Raises UsageError for a share or a probability that is out of its range.
    """

    lut: float = 0.70
    ff: float = 0.70
    bram18: float = 0.90
    dsp: float = 0.90
    uram: float = 0.90
    sure: float = 0.80

    def __post_init__(self) -> None:
        set_plain(self, *AMOUNTS, "sure")
        for name in AMOUNTS:
            share = getattr(self, name)
            if not is_number(share) or not 0 < share <= 1:
                raise UsageError(
                    f"a utilisation of {number_text(share)} for {name}; utilisations (--lut, --bram) are shares of "
                    "the device above 0 and up to 1, as 0.7, not counts"
                )
        remedy = f"use a probability from {LEAST_SURE} to {MOST_SURE}"
        check_option(self.sure, LEAST_SURE, MOST_SURE, "{} sure to fit", remedy)

    @property
    def whole(self) -> Utilisation:
        """All of the device, as sure."""
        return replace(self, **dict.fromkeys(AMOUNTS, 1.0))
