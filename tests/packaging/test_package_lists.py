"""The lists in pyproject.toml against the folders and files on disk."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {package: ROOT / folder for package, folder in SETUPTOOLS["package-dir"].items()}


def folder_of(package: str) -> Path:
    """Where a package lies: the longest mapped name before it, and the rest as folders."""
    mapped = max((name for name in FOLDERS if package == name or package.startswith(f"{name}.")), key=len)
    return FOLDERS[mapped].joinpath(*package[len(mapped) :].split("."))


def test_every_folder_with_an_init_is_a_package() -> None:
    found = {
        ".".join((package, *file.parent.relative_to(folder).parts))
        for package, folder in FOLDERS.items()
        for file in folder.rglob("__init__.py")
    }
    listed = SETUPTOOLS["packages"]
    assert not found - set(listed), f"add {', '.join(sorted(found - set(listed)))} to packages in pyproject.toml"
    assert not set(listed) - found, f"take {', '.join(sorted(set(listed) - found))} out of packages in pyproject.toml"
    assert listed == sorted(found), "sort packages in pyproject.toml; each stands there once"


def test_every_other_file_is_package_data() -> None:
    """Files that are no module of a package (templates, headers, models) come along by a pattern."""
    listed = {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in folder_of(package).glob(pattern)
    }
    packages = {folder_of(package) for package in SETUPTOOLS["packages"]}
    others = {
        path
        for folder in FOLDERS.values()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if path.suffix != ".py" or path.parent not in packages
    }
    assert sorted(others - listed) == []


@pytest.mark.parametrize("package", SETUPTOOLS["package-data"])
def test_every_pattern_of_package_data_finds_a_file(package: str) -> None:
    for pattern in SETUPTOOLS["package-data"][package]:
        assert list(folder_of(package).glob(pattern)), pattern
