"""Constants of the resource formulas, each with where it comes from; the numbers are in resource_model.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Constant:
    """A number of the resource model and its provenance."""

    value: float
    provenance: str


@lru_cache(maxsize=1)
def constants() -> Mapping[str, Constant]:
    """Read all constants by "section.name"."""
    sections = tomllib.loads(FILE.read_text())
    return MappingProxyType(
        {
            f"{section}.{name}": Constant(float(entry["value"]), entry["from"])
            for section, entries in sections.items()
            for name, entry in entries.items()
        }
    )


def constant(name: str) -> float:
    """Look up a constant, "section.name"; raises KeyError for one that the file lacks."""
    return constants()[name].value
