"""hls4ml's own front ends, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

# An assertion in compiled code ends the process, and registering layers changes hls4ml for good: children.
CHILD = """
import sys
from pathlib import Path
import numpy as np
kind, folder, backend = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
if kind == "keras":
    import tf_keras
    sys.modules["keras"] = tf_keras
else:
    sys.modules.update(keras=None, tensorflow=None)
import hls4ml
from muxflow import prepare_for_hls4ml
pixels = np.load(folder / "pixels.npy")
common = {"granularity": "name", "backend": backend, "default_reuse_factor": 64}
options = {"io_type": "io_stream", "backend": backend, "output_dir": str(folder / "project")}
"""


def run(kind: str, script: str, folder: Path, pixels: np.ndarray, backend: str) -> None:
    """Runs a script of the above; hls::stream's complaints about beats left over or read of nothing are failures."""
    np.save(folder / "pixels.npy", pixels)
    settings = {"TF_USE_LEGACY_KERAS": "1", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", CHILD + script, kind, str(folder), backend]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "hls::stream" not in (done.stdout + done.stderr).lower()
