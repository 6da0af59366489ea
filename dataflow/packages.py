"""The Python packages that a part of Muxflow needs beside it."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from muxflow.dataflow.errors import ToolError

CHECKOUT = Path(__file__).parents[1]
"""Where the sources lie when Muxflow is installed from a checkout: with the pins of all packages beside them."""
PINS = "constraints.txt"
NAME = "muxflow"
"""Of the distribution, as its wheel is called."""


def pip_install(*arguments: str) -> str:
    """Write the command line by which pip installs something into this environment, from any folder."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def install_extra(extra: str) -> str:
    """Write the command line that installs what an extra of Muxflow names.

    From a checkout with its pins; else of the wheel that Muxflow was installed from, where it still lies there; else the
    packages by name, as Muxflow itself is in no registry.
    """
    pins = CHECKOUT / PINS
    if pins.is_file():
        return pip_install("-c", str(pins), "-e", f"{CHECKOUT}[{extra}]")
    wheel = _wheel()
    return pip_install(f"{wheel}[{extra}]") if wheel else pip_install(*_required(extra))


def _wheel() -> Path | None:
    """Find the wheel that Muxflow was installed from, by the record that pip keeps of it."""
    try:
        record = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
        url = urlsplit(record.get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return None
    path = Path(unquote(url.path))
    return path if url.scheme == "file" and path.suffix == ".whl" and path.is_file() else None


def _required(extra: str) -> list[str]:
    """List what an extra names, other extras of Muxflow followed; the extra itself where Muxflow is not installed."""
    try:
        lines = distribution(NAME).requires or []
    except PackageNotFoundError:
        lines = []
    found = (re.match(r"(.*?)\s*;\s*extra\s*==\s*[\"']([\w-]+)[\"']$", line) for line in lines)
    named = [match[1] for match in found if match and match[2] == extra]
    packages: dict[str, None] = {}
    for one in named:
        inner = re.match(rf"{NAME}\[([\w,-]+)\]", one)
        packages.update(
            dict.fromkeys(name for part in inner[1].split(",") for name in _required(part)) if inner else {one: None}
        )
    return list(packages) or [f"{NAME}[{extra}]"]


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


def package(name: str, purpose: str, remedy: str, released_as: str = "") -> Package:
    """Describe a package of this environment; `released_as`: its name in the registry where that is another."""

    def find() -> str | None:
        if importlib.util.find_spec(name) is None:
            return None
        try:
            return version(released_as or name)
        except PackageNotFoundError:
            return ""

    return Package(name, purpose, remedy, find)


def require(released_as: str, supported: str, remedy: str) -> None:
    """Raise ToolError unless a supported release of a package is installed.

    `released_as`: its name in the registry; `supported`: a release, or "1.3.*" for every release that begins so;
    `remedy`: the command that installs it.
    """
    try:
        found = version(released_as)
    except PackageNotFoundError:
        raise ToolError(f"{released_as} is not installed: {remedy}") from None
    if not fnmatchcase(found, supported):
        raise ToolError(f"{released_as} {found} is installed; supported: {supported}: {remedy}")
