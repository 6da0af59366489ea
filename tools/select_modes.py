"""What each select mode of the MUX residual costs in buffers, over the zoo's presets (random weights, PYNQ-Z2).

    .venv/bin/python tools/select_modes.py [PRESET ...]

Prints the table of docs/guide/fit.md.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

import muxflow
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo
from muxflow.reports.gather.memory_plan import make_memory_plan

MODES = ("channel", "channel-mean", "element", "always")
COLUMNS = (
    "preset",
    "select",
    "frame buffers, bits",
    "other FIFOs of joins, bits",
    "BRAM18",
    "LUT",
    "interval",
    "latency",
)


def main(presets: list[str]) -> None:
    """Print one Markdown row for each preset and select mode."""
    torch.set_num_threads(1)
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "--:|" * (len(COLUMNS) - 2))
    with tempfile.TemporaryDirectory() as folder:
        for preset in presets:
            for select in MODES:
                model = zoo.randomise(zoo.build(preset, select=select), seed=0)
                path = export(model, Path(folder) / "model.onnx", (1, *model.config.input_shape))
                design = muxflow.fit(muxflow.load(path), "pynq-z2")
                joins = make_memory_plan(design).joins
                bits = (sum(join.frame_bits for join in joins), sum(join.fifo_bits for join in joins))
                used = design.resources
                numbers = (*bits, used.bram18, used.lut, design.interval, design.latency)
                print("| " + " | ".join((preset, f"`{select}`", *(f"{number:,}" for number in numbers))) + " |")


if __name__ == "__main__":
    main(sys.argv[1:] or ["mognet_digits", "mognet_cifar10"])
