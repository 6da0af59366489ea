"""What this machine has, and what each missing tool would add."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Finding:
    """One tool or package: found or not, its version, and what it is for."""

    name: str
    found: bool
    version: str
    purpose: str
    remedy: str


TOOLS = (
    ("g++", "C simulation", "apt-get install g++"),
    ("vitis_hls", "HLS synthesis (Vitis HLS 2020.2 and later)", "install AMD Vitis and source its settings64.sh"),
    ("vitis-run", "HLS synthesis (Vitis 2024.2 and later)", "install AMD Vitis and source its settings64.sh"),
    ("vivado_hls", "HLS synthesis (Vivado HLS 2019.2)", "install Vivado 2019.2 and source its settings64.sh"),
    ("vivado", "implementation and bitstream", "install AMD Vivado and source its settings64.sh"),
)
PACKAGES = (
    ("qonnx", "import of QONNX models", "pip install 'muxflow[onnx]'"),
    ("brevitas", "training and export", "pip install 'muxflow[train]'"),
    ("torch", "training and export", "pip install 'muxflow[train]'"),
    ("sklearn", "the bundled digits data set", "pip install 'muxflow[train]'"),
    ("hls4ml", "reference C simulation (ap_int types)", "pip install 'muxflow[reference]'"),
)
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def findings() -> list[Finding]:
    """Every tool and package that Muxflow can use."""
    found = []
    for name, purpose, remedy in TOOLS:
        path = shutil.which(name)
        found.append(Finding(name, path is not None, _tool_version(path) if path else "", purpose, remedy))
    for name, purpose, remedy in PACKAGES:
        present = importlib.util.find_spec(name) is not None
        try:
            number = version(_DISTRIBUTIONS.get(name, name)) if present else ""
        except PackageNotFoundError:
            number = ""
        found.append(Finding(name, present, number, purpose, remedy))
    return found


def _tool_version(path: str) -> str:
    # The vendor's tools take seconds to start: their path says the version.
    if "vi" in path.rsplit("/", 1)[-1]:
        return path
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=20)
    return done.stdout.splitlines()[0] if done.stdout else ""
