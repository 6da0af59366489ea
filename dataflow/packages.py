"""The Python packages that a part of Muxflow needs beside it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version

from muxflow.dataflow.errors import ToolError


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


def require(distribution: str, supported: str, remedy: str) -> None:
    """Raise ToolError unless a supported release of a package is installed.

    `distribution`: its name in the registry; `supported`: a release, or "1.3.*" for every release that begins so;
    `remedy`: the command that installs it.
    """
    try:
        found = version(distribution)
    except PackageNotFoundError:
        raise ToolError(f"{distribution} is not installed: {remedy}") from None
    if not fnmatchcase(found, supported):
        raise ToolError(f"{distribution} {found} is installed; supported: {supported}: {remedy}")
