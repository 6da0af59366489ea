"""HGQ2 in a folder of its own, which only the processes that read Keras 3 files see.

Its wheel holds a package under the name `qkeras`, which in the environment itself would overwrite QKeras.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.metadata import distributions
from pathlib import Path

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.packages import install_extra, pip_install

FOLDER = Path(sys.prefix) / "share" / "muxflow" / "hgq"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
"""The pins; the environment has the rest of what HGQ2 needs."""
VERSION = "0.2.0"
MODULES = ("keras", "quantizers", "torch", "h5py", "tqdm")
INSTALL = install_extra("hgq")
ENVIRONMENT = {
    "KERAS_BACKEND": "torch",
    "TF_USE_LEGACY_KERAS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1",
}
"""Of the child only: torch computes, no chatter, no GPU, and one thread, because quantizers are small work."""


def install_command() -> str:
    """Return the command line that fills the folder."""
    return pip_install("--no-deps", "--upgrade", "--target", str(FOLDER), "-r", str(REQUIREMENTS))


def hgq_version() -> str:
    """Read the version of HGQ2 in its folder; "" when there is none."""
    found = (one.version for one in distributions(path=[str(FOLDER)]) if one.metadata["Name"].lower() == "hgq2")
    return next(found, "")


def keras_v3_environment() -> dict[str, str]:
    """Return the environment variables of a process that holds Keras 3 and HGQ2.

    Raises ToolError, with the command that helps, when a package or HGQ2 is absent, or HGQ2 has another version.
    """
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolError(
            f"Keras 3 models need {', '.join(missing)}, which are not installed; install them: {INSTALL}, then HGQ2 into a "
            f"folder of its own: {install_command()}"
        )
    version = hgq_version()
    if version != VERSION:
        raise ToolError(
            f"Keras 3 models need HGQ2 {VERSION} in {FOLDER}, which holds {f'version {version}' if version else 'none'}; "
            f"install it there, and nowhere else, because it overwrites QKeras: {install_command()}"
        )
    path = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    return ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(path)}
