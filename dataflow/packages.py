"""The Python packages that a part of Muxflow needs beside it."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from muxflow.dataflow.errors import ToolError

CHECKOUT = Path(__file__).parents[1]
"""Where the sources lie when Muxflow is installed from a checkout: with the pins of all packages beside them."""
PINS = "constraints.txt"


def pip_install(*arguments: str) -> str:
    """Write the command line by which pip installs something into this environment, from any folder."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def install_extra(extra: str) -> str:
    """Write the command line that installs what an extra of Muxflow names: with the pins of the checkout, where it is one."""
    pins = CHECKOUT / PINS
    if pins.is_file():
        return pip_install("-c", str(pins), "-e", f"{CHECKOUT}[{extra}]")
    return pip_install(f"muxflow[{extra}]")


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
