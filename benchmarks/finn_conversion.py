"""Two digits networks in FINN, each by two ways, on the 450 held-out images.

By FINN's own conversion of the exported file, and as the FINN model that Muxflow makes of it; and FINN's estimates of
the latter beside Muxflow's.

    make benchmark-finn-conversion       or    .venv/bin/python benchmarks/finn_conversion.py

The networks: the shipped digits MOGNET (trained), and a small one without batch norm (random weights), whose
accumulators often lie exactly between two codes. FINN's own conversion turns every quantizer into thresholds at half a
step, which count such ties up; the network rounds them to even. FINN's Python execution runs the nodes of MOGNET as QONNX
custom ops; it cannot go on to hardware layers, because it has none for them. Compared are the integer outputs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import brevitas.nn as qnn
import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

import muxflow
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import rising_thresholds
from muxflow.dataflow.op import IntArray
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.floats import float_inputs, image_codes
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.layers import quant_conv
from muxflow.frontend.training.quantizers import PixelInput, unsigned_activation
from muxflow.hls import finn
from muxflow.hls.finn.comparison import Row
from muxflow.hls.finn.process import prepare_finn
from muxflow.hls.finn.support import IMPLEMENTATIONS

MODEL = Path(muxflow.frontend.__path__[0]) / "training" / "pretrained" / "mognet_digits.onnx"


def convert_as_finn_does(path: Path) -> Any:
    """Return the file after FINN's own conversion of quantizers; FINN must be prepared."""
    from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    import muxflow.frontend.qonnx.ops  # noqa: F401

    return cleanup_model(ModelWrapper(str(path))).transform(ConvertQONNXtoFINN())


def without_batch_norm(path: Path) -> Path:
    """Export three convolutions with ternary weights and 3-bit activations, random weights, seed 0."""
    torch.manual_seed(0)

    def activation() -> Any:
        return qnn.QuantIdentity(act_quant=unsigned_activation(3))

    pixels = qnn.QuantIdentity(act_quant=PixelInput)
    layers = (pixels, quant_conv(1, 8, 3), activation(), quant_conv(8, 16, 3), activation(), quant_conv(16, 10, 1))
    return export(nn.Sequential(*layers, nn.AvgPool2d(8), nn.Flatten()).eval(), path, (1, 1, 8, 8))


def codes_by_finns_conversion(path: Path, graph: Graph, codes: IntArray) -> IntArray:
    """Compute the integer outputs of a file after FINN's own conversion, shape (N, outputs); FINN must be prepared."""
    from qonnx.core.onnx_exec import execute_onnx

    model = convert_as_finn_does(path)
    name, output = model.graph.input[0].name, model.graph.output[0].name
    assert graph.readouts
    scale, offset = np.array(graph.readouts[graph.outputs[0]].scale), np.array(graph.readouts[graph.outputs[0]].offset)
    values = [
        execute_onnx(model, {name: image[None]})[output].reshape(-1)
        for image in track(
            float_inputs(graph, codes)[0], f"FINN's conversion of {path.stem}", console=Console(stderr=True)
        )
    ]
    return np.rint((np.stack(values) - offset) / scale).astype(np.int64)


def main(
    images: Annotated[int, typer.Option(help="Held-out images; 0: all of them.")] = 0,
    board: Annotated[str, typer.Option(help="Board to fit Muxflow's FINN models to.")] = "pynq-z2",
) -> None:
    """Print the tables."""
    data = load("digits", "test")
    count = images or len(data.images)
    table = Table(title=f"integer outputs by FINN's Python execution, digits test split, {count} images")
    for heading in ("network", "way into FINN", "equal to the network", "same class", "seconds"):
        table.add_column(heading, justify="left" if heading in ("network", "way into FINN") else "right")
    estimates: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ.update(HOME=scratch, FINN_BUILD_DIR=scratch, XILINX_VIVADO="/none/2022.2")
        prepare_finn()
        for title, path in (
            ("MOGNET, trained", MODEL),
            ("no batch norm, random", without_batch_norm(Path(scratch) / "without_batch_norm.onnx")),
        ):
            graph = muxflow.load(path)
            codes = image_codes(graph, data.images[:count])
            expected = graph(codes).reshape(count, -1)
            started = time.perf_counter()
            found = codes_by_finns_conversion(path, graph, codes)
            same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
            equal = int((found == expected).all(axis=1).sum())
            seconds = f"{time.perf_counter() - started:.0f}"
            table.add_row(title, "FINN's own conversion", f"{equal} of {count}", f"{same} of {count}", seconds)
            started = time.perf_counter()
            design = muxflow.fit(rising_thresholds(graph), board, implementations=IMPLEMENTATIONS)
            project = finn.write(design, Path(scratch) / path.stem)
            # Compares every tensor of every node, the outputs among them, and raises where one differs.
            checked = finn.check(project, codes)
            seconds = f"{time.perf_counter() - started:.0f}"
            table.add_row("", "muxflow build --target finn", f"{checked} of {count}", f"{checked} of {count}", seconds)
            estimates = estimates or finn.estimates(project)
    console = Console(width=110 if not sys.stdout.isatty() else None)
    console.print(table)
    console.print(side_by_side(estimates))


def side_by_side(rows: list[Row]) -> Table:
    """Tabulate FINN's estimates and Muxflow's, summed over the nodes of a kind; cycles of the slowest."""
    table = Table(title="MOGNET: estimates of its nodes, ours | FINN's")
    for heading in ("design", "in FINN", "nodes", "slowest, cycles", "LUT", "BRAM18"):
        table.add_column(heading, justify="left" if heading in ("design", "in FINN") else "right")
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.op or row.node, ", ".join(row.finn_nodes)), []).append(row)
    for (op, nodes), same in kinds.items():
        table.add_row(
            op,
            nodes,
            str(len(same)),
            f"{max(r.cycles for r in same):,} | {max(r.finn_cycles for r in same):,}",
            f"{sum(r.lut for r in same):,} | {sum(r.finn_lut for r in same):,}",
            f"{sum(r.bram18 for r in same):,} | {sum(r.finn_bram18 for r in same):,}",
        )
    table.add_section()
    table.add_row(
        "all",
        "",
        str(len(rows)),
        f"{max(r.cycles for r in rows):,} | {max(r.finn_cycles for r in rows):,}",
        f"{sum(r.lut for r in rows):,} | {sum(r.finn_lut for r in rows):,}",
        f"{sum(r.bram18 for r in rows):,} | {sum(r.finn_bram18 for r in rows):,}",
    )
    return table


if __name__ == "__main__":
    typer.run(main)
