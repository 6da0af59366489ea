"""The wheel that `python -m build` makes: complete, and at work outside the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {ROOT / folder: package for package, folder in PROJECT["tool"]["setuptools"]["package-dir"].items()}


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command in `cwd` and gives its standard output."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of the source distribution; built from a copy, because setuptools writes beside its sources."""
    folder = tmp_path_factory.mktemp("source")
    for room in FOLDERS:
        shutil.copytree(room, folder / room.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    run(sys.executable, "-m", "build", "--no-isolation", cwd=folder)
    (made,) = (folder / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; all other packages are those of the test environment."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
    # A path file inside the folders that it names is not read, so the editable install stays out.
    packages = next(folder.glob("lib/python*/site-packages"))
    others = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    return folder


def test_every_file_of_the_rooms_is_in_the_wheel(wheel: Path) -> None:
    files = {
        f"{package.replace('.', '/')}/{path.relative_to(folder)}"
        for folder, package in FOLDERS.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == files


def test_the_installed_package_runs_from_any_folder(installed: Path, tmp_path: Path) -> None:
    program = "import muxflow, muxflow.hls; print(muxflow.__file__); print(muxflow.hls.__file__)"
    for file in run(installed / "bin" / "python", "-c", program, cwd=tmp_path).split():
        assert Path(file).is_relative_to(installed)
    command = installed / "bin" / "muxflow"
    assert run(command, "--version", cwd=tmp_path) == f"muxflow {PROJECT['project']['version']}\n"
    assert json.loads(run(command, "boards", "--json", cwd=tmp_path))["pynq-z2"]["lut"] == 53200
    assert json.loads(run(command, "doctor", "--json", cwd=tmp_path))["g++"]["found"]
    assert not list(tmp_path.iterdir())


@pytest.mark.exhaustive
def test_the_installed_package_does_the_whole_demo_from_any_folder(installed: Path, tmp_path: Path) -> None:
    made = json.loads(run(installed / "bin" / "muxflow", "demo", "--json", cwd=tmp_path))
    equal = [rung["images"] for rung in made["ladder"] if rung["status"] == "equal"]
    assert equal == [450, 450, 450, 450]
    assert [path.name for path in tmp_path.iterdir()] == ["build"]
