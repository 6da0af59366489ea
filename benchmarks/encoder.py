"""Fit the encoders to a PYNQ-Z2, and compare what their parts cost with what they stand for; no vendor tool.

    make benchmark-encoder   or    .venv/bin/python benchmarks/encoder.py

Rates and latencies are cycle simulations, resources estimates. `encoder_1mb` has random weights, as CIFAR-10 is not part of
the project; so have the others, which changes little.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

import muxflow
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.resource_model import estimate, products
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo_encoder, zoo_residual
from muxflow.frontend.training.zoo import MEGABIT

BOARD = "pynq-z2"
NORM_FPS, JOIN_FPS = 1000.0, 10_000.0
"""Rates at which designs are compared: the cheapest that reaches them."""
CONSOLE = Console(width=140)


def fitted(zoo: Any, name: str, fps: float | None = None, **options: Any) -> Design:
    """Fit a preset with random weights."""
    model = zoo.randomise(zoo.build(name, **options))
    with tempfile.TemporaryDirectory() as scratch:
        path = export(model, Path(scratch) / f"{name}.onnx", (1, *model.config.input_shape))
        return muxflow.fit(muxflow.load(path), BOARD, fps=fps)


def table(title: str, *columns: str) -> Table:
    """Make a table whose first column is text."""
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def fits() -> Table:
    """Fit both encoders as fast as the board allows."""
    made = table(f"fastest, {BOARD}", "network", "frames/s", "latency", "LUT", "FF", "BRAM18", "stored", "of 2^20")
    for name in ("encoder_1mb", "encoder_digits"):
        design = fitted(zoo_encoder, name)
        used, stored = design.resources, design.stored_parameter_bits
        made.add_row(
            name,
            f"{design.frames_per_second:,.0f}",
            f"{1e6 * design.latency_seconds:,.0f} µs",
            *(f"{number:,}" for number in (used.lut, used.ff, used.bram18, stored)),
            f"{stored / MEGABIT:.1%}",
        )
    return made


def norms() -> Table:
    """Compare bit-shift norm with thresholds, for the same network at the same rate."""
    made = table(
        f"encoder_1mb at {NORM_FPS:,.0f} frames/s",
        "norm",
        "biases or thresholds, bits",
        "LUT of activations",
        "LUT",
        "BRAM18",
    )
    for options in ({}, {"bias_per": "layer"}, {"norm": "batch"}):
        design = fitted(zoo_encoder, "encoder_1mb", NORM_FPS, **options)
        acts = [node for node in design.graph.nodes if isinstance(node.op, ShiftClip | Threshold)]
        memories = [memory for node in acts for memory in design.memories[node.name]]
        logic = sum(design.cost(node).lut for node in acts) + sum(memory.lut for memory in memories)
        bits, used = sum(memory.memory.bits for memory in memories), design.resources
        shown = ", ".join(f"{key} {value}" for key, value in options.items()) or "bit shifts, a bias for each channel"
        made.add_row(shown, *(f"{number:,}" for number in (bits, logic, used.lut, used.bram18)))
    return made


def planes() -> Table:
    """Compare a quinary weight of 3 bits with two ternary planes, whose sum it is, a product at a time."""
    made = table("quinary weights, LUT a product", "bits of the input", "3 bits", "two ternary planes")
    for bits in (1, 2, 3, 8):
        one, half = (
            estimate(matrix_vector={key: 1000 * part for key, part in products(width, bits, False).items()})[0] / 1000
            for width in (3, 2)
        )
        made.add_row(str(bits), f"{one:.1f}", f"{2 * half:.1f}")
    made.add_row("stored bits of a weight", "3", "4")
    return made


def joins() -> Table:
    """Compare what gated and plain residual blocks cost at the same rate."""
    made = table(f"residual blocks at {JOIN_FPS:,.0f} frames/s", "network", "LUT", "FF", "BRAM18", "latency")
    for name in zoo_residual.PRESETS:
        design = fitted(zoo_residual, name, JOIN_FPS)
        used = design.resources
        made.add_row(
            name, *(f"{n:,}" for n in (used.lut, used.ff, used.bram18)), f"{1e6 * design.latency_seconds:,.0f} µs"
        )
    return made


def main() -> None:
    """Run the benchmark."""
    for part in (fits, norms, planes, joins):
        CONSOLE.print(part())


if __name__ == "__main__":
    typer.run(main)
