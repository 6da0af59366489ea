"""An hls4ml project that appears whole or not at all, the same bytes for the same model."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.folders import whole_folder
from muxflow.hls.design_file import save_design

CONFIG_FILE = "hls4ml_config.yml"
"""What every project of hls4ml holds."""
STAMPED = ("build_lib.sh", CONFIG_FILE)
"""The files in which hls4ml writes the stamp that it draws for each write."""


def write_whole(model_for: Callable[[Path], Any], target: Path, design: Design) -> None:
    """Write the model that `model_for` makes for a folder, and the design beside it; hls4ml's messages are dropped.

    Raises MuxflowError when the disk refuses, and as `model_for` does.
    """
    with whole_folder(target, design.graph.name) as folder:
        with redirect_stdout(io.StringIO()):
            model = model_for(folder)
            model.write()
        _settle(folder, target, str(model.config.get_config_value("Stamp")))
        save_design(design, folder)


def _settle(folder: Path, target: Path, stamp: str) -> None:
    """Put the final folder, and a stamp made of the content, where hls4ml wrote the temporary one and a random one."""
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in STAMPED):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    # It begins with a letter beyond f: YAML puts quotes around a stamp that could be a number.
    content = f"m{digest.hexdigest()}"[: len(stamp)]
    for name in STAMPED:
        file = folder / name
        text = re.sub(rf"'?{re.escape(stamp)}'?", content, file.read_text())
        file.write_text(text.replace(str(folder), str(target)))
