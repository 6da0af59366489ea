"""Import, fit, write, compile and simulate MOGNET n=64 g=4 on 32x32x3 (random weights), against slower executions.

    make benchmark            or    .venv/bin/python benchmarks/mognet_cifar.py [--images N]

Prints one table. Rates are of one process on one core; ratios are against QONNX execution in the same run.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

import muxflow
from muxflow.dataflow.fit.design import Design
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.floats import float_inputs
from muxflow.frontend.qonnx.execution import QonnxModel
from muxflow.frontend.training import zoo
from muxflow.hls.vitis.csim import compile_csim, run_csim

LIMITS = {
    "import + fit + write": "<= 15 s",
    "compile (native)": "<= 6.2 s",
    "C simulation, native": ">= 100 images/s",
    "compile (reference)": "<= 12.1 s",
    "C simulation, reference": ">= 1 image/s",
}


def main(images: Annotated[int, typer.Option(min=1, help="Images to simulate.")] = 128) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    console = Console(width=110)
    table = Table(title="MOGNET n=64 g=4, 32x32x3, PYNQ-Z2", title_justify="left")
    for column in ("step", "figure", "aim", "against QONNX"):
        table.add_column(column)

    def row(step: str, figure: str, ratio: str = "") -> None:
        print(f"{step}: {figure}", file=sys.stderr, flush=True)
        table.add_row(step, figure, LIMITS.get(step, ""), ratio)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = zoo.randomise(zoo.build("mognet_cifar10", n=64, g=4), seed=0)
        path = export(model, folder / "mognet.onnx", (1, 3, 32, 32))
        started = time.perf_counter()
        graph = muxflow.load(path)
        loaded = time.perf_counter()
        design: Design = muxflow.fit(graph, "pynq-z2")
        fitted = time.perf_counter()
        project = muxflow.write(design, folder / "project")
        written = time.perf_counter()
        row("multiply-accumulates an image", f"{graph.operations() / 1e6:.1f} M")
        row(
            "import + fit + write",
            f"{written - started:.1f} s ({loaded - started:.1f} + {fitted - loaded:.1f} + {written - fitted:.1f})",
        )
        row("interval", f"{design.interval:,} cycles, {design.frames_per_second:,.0f} frames/s (cycle simulation)")
        row("one-image latency", f"{design.latency:,} cycles, {1e3 * design.latency_seconds:.2f} ms (cycle simulation)")
        codes = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3))
        qonnx = QonnxModel(path)
        few = codes[: min(8, images)]
        qonnx.run(*float_inputs(graph, few))
        started = time.perf_counter()
        qonnx.run(*float_inputs(graph, few))
        peer = len(few) / (time.perf_counter() - started)
        row("QONNX execution", f"{peer:.2f} images/s", "1.0x")
        started = time.perf_counter()
        expected = graph(few)
        rate = len(few) / (time.perf_counter() - started)
        row("graph in numpy", f"{rate:.2f} images/s", f"{rate / peer:.2g}x")
        for variant, count in (("native", images), ("reference", 2)):
            _, seconds = compile_csim(project.hls, variant)  # type: ignore[arg-type]
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            row(f"compile ({variant})", f"{seconds:.1f} s, peak {peak:.2f} GiB")
            result = run_csim(project.hls, codes[:count], variant)  # type: ignore[arg-type]
            shared = min(count, len(few))
            if not np.array_equal(result.outputs[:shared], expected[:shared]):
                raise SystemExit(f"C simulation ({variant}) differs from the graph")
            rate = result.images_per_second
            row(f"C simulation, {variant}", f"{rate:.2f} images/s", f"{rate / peer:.2g}x")
    console.print(table)
    cpu = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=False).stdout.strip()
    console.print(f"one process on one core of this machine ({cpu}); {images} images")


if __name__ == "__main__":
    typer.run(main)
