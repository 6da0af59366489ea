"""Trained networks as files: those that ship, their weights, their export."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

from torch import nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import check_file, read_json
from muxflow.dataflow.text import printable, reason, shown
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training import presets
from muxflow.frontend.training.scales import is_whole
from muxflow.frontend.training.state_file import read_state, restored

FACTS = ("command", "dataset", "split", "images", "accuracy", "select")
"""What of a training's report travels in the model file."""
MOST_INPUT = 1 << 20
"""Elements of a trained network's input, at most (decision): an image of 1024 x 1024 pixels."""


def load_trained(path: str | Path) -> nn.Module:
    """Load the network that `train_preset` left at `<path>.pt`, in evaluation mode; `path` has no suffix.

    Raises MuxflowError naming the file that is absent or does not fit the network described in `<path>.json`.
    """
    base = Path(path)
    weights, summary = base.with_name(f"{base.name}.pt"), base.with_name(f"{base.name}.json")
    for file in (weights, summary):
        check_file(file, "`muxflow train` writes it", "trained network")
    try:
        report = read_json(summary)
        restore = presets.family(report.get("preset", "mognet_digits")).restore
        model: nn.Module = restored(lambda: restore(report["network"]), read_state(weights))
        _check_input(model.config.input_shape)
        return model
    except Exception as error:  # a damaged file raises nearly anything
        raise_machine_fault(error, f"trained network {weights}")
        raise MuxflowError(f"trained network {weights}: does not fit {summary} ({reason(error)})") from error


def _check_input(shape: tuple[int, ...]) -> None:
    """Raise ValueError for an input that is too large to trace: its sizes do not follow from the tensors of a file."""
    if not all(map(is_whole, shape)) or min(shape, default=0) < 1 or prod(shape) > MOST_INPUT:
        raise ValueError(
            f"input_shape {shown(shape)}; expected sizes from 1, {MOST_INPUT:,} (MOST_INPUT) elements at most"
        )


def export_trained(path: str | Path, target: str | Path) -> Path:
    """Export the network at `<path>.pt` to the QONNX file `target`, with the facts of its training as metadata."""
    base = Path(path)
    model = load_trained(base)
    report = json.loads(base.with_name(f"{base.name}.json").read_text(encoding="utf-8"))
    return export(
        model,
        target,
        (1, *model.config.input_shape),
        {key: printable(str(report[key])) for key in FACTS if key in report},
    )
