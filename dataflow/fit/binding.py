"""Which resources of a budget bind: those of which more would let a faster design fit, as the solver proves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from muxflow.dataflow.fit.device import MOST_AMOUNT, Resources
from muxflow.dataflow.fit.solver import Solver

SHARES = {"--lut": ("LUT", "FF"), "--bram": ("BRAM18", "DSP", "URAM")}
"""What the options of shares are of."""

FEWER = {
    "shorter codes": ("LUT", "FF"),
    "fewer weight bits": ("BRAM18", "URAM"),
}
"""What a network takes less of some resources with."""


@dataclass(frozen=True)
class Binding:
    """Resources that bind: more of one of `names` lets a design fit, or more of all where `together` is set.

    `options`: those of which the whole device would do: alternatives, or all of them where they do so only together.
    """

    names: tuple[str, ...]
    together: bool
    options: tuple[str, ...]
    options_together: bool = False

    def __str__(self) -> str:
        verb = "bind together" if self.together else "binds"
        return f"{joined(self.names, 'and' if self.together else 'or')} {verb}"

    @property
    def more(self) -> str:
        """What of them a faster design takes more of, after "takes more"."""
        if len(self.names) == 1:
            return ""
        few = len(self.names) == 2
        return f" of {'both' if few else 'all'}" if self.together else f" of {'either' if few else 'any one'}"

    @property
    def share(self) -> str:
        """The options of larger shares that would do, in brackets; "" where the whole device does not."""
        return f"({joined(self.options, 'and' if self.options_together else 'or')})" if self.options else ""

    @property
    def fewer(self) -> list[str]:
        """What a network takes less of them with."""
        return [less for less, names in FEWER.items() if set(names) & set(self.names)]


def joined(words: Iterable[str], last: str) -> str:
    """Join words by commas, the last two by a word."""
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def find_binding(solver: Solver, cycles: int, budget: Resources, whole: Resources) -> Binding | None:
    """Find what keeps designs of at most so many cycles a frame out of a budget; None where one fits, or there is none.

    `whole`: what an estimate may come to where designs may use all of the device. Each resource is lifted alone; where none
    of them suffices, those of one option are, else all, and then those taken back that need not be.
    """
    if not solver.reaches(cycles) or solver.fits(cycles, budget):
        return None

    def fits(names: Iterable[str], amounts: Resources | None = None) -> bool:
        return solver.fits(cycles, _lifted(budget, names, amounts))

    every = [name for name, amount in whole.items() if amount or name != "URAM"]
    names, together = [name for name in every if fits([name])], False
    if not names:
        names, together = list(next((of for of in SHARES.values() if fits(of)), every)), True
        for name in tuple(names):
            if fits(set(names) - {name}):
                names.remove(name)
    larger = [option for option, of in SHARES.items() if _lifted(budget, of, whole) != budget]
    options = [option for option in larger if fits(SHARES[option], whole)]
    if options or len(larger) < 2 or not fits(every, whole):
        return Binding(tuple(names), together, tuple(options))
    return Binding(tuple(names), together, tuple(larger), options_together=True)


def _lifted(budget: Resources, names: Iterable[str], amounts: Resources | None = None) -> Resources:
    """Give a budget with other amounts of some resources, without a limit where there are none."""
    given = {} if amounts is None else dict(amounts.items())
    fields = {name.lower(): given.get(name, MOST_AMOUNT) for name in names}
    return replace(budget, **fields)
