"""The Python packages that a part of Muxflow needs beside it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Package:
    """A Python package that a reader or a target needs.

    `name`: as it is imported; `purpose`: what it is for; `remedy`: the command that installs it; `find`: gives its version
    ("" when it does not say), None when it is absent.
    """

    name: str
    purpose: str
    remedy: str
    find: Callable[[], str | None]


def package(name: str, purpose: str, remedy: str, distribution: str = "") -> Package:
    """Describe a package of this environment; `distribution`: its name in the registry where that is another."""

    def find() -> str | None:
        if importlib.util.find_spec(name) is None:
            return None
        try:
            return version(distribution or name)
        except PackageNotFoundError:
            return ""

    return Package(name, purpose, remedy, find)
