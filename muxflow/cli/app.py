"""The commands, assembled."""

from __future__ import annotations

from typing import Annotated

import typer

import muxflow
from muxflow.cli.bitstream import bitstream
from muxflow.cli.boards import boards
from muxflow.cli.build import build
from muxflow.cli.check import check
from muxflow.cli.compare import compare
from muxflow.cli.compress import compress
from muxflow.cli.console import out
from muxflow.cli.csim import csim
from muxflow.cli.decompress import decompress
from muxflow.cli.demo import demo
from muxflow.cli.doctor import doctor
from muxflow.cli.fit import fit
from muxflow.cli.report import report
from muxflow.cli.sweep import sweep
from muxflow.cli.train import train
from muxflow.cli.weights import weights

COMMANDS = (
    train,
    check,
    fit,
    build,
    weights,
    sweep,
    csim,
    report,
    compare,
    bitstream,
    boards,
    doctor,
    demo,
    compress,
    decompress,
)

app = typer.Typer(
    help="Streaming FPGA accelerators for ultra-low-bit networks, verified bit for bit.\n\n"
    "A first run: `muxflow demo`. With a model of your own: `muxflow check model.onnx`, then "
    "`muxflow fit model.onnx --board pynq-z2`, `muxflow build model.onnx --board pynq-z2`, and "
    "`muxflow csim build/model`.\n\n"
    "Exit codes: 0 done, 1 error, 2 wrong use (an option that is not known or out of its range), 3 model not supported, "
    "4 graph error, 5 does not fit the board, 6 a tool is absent or failed, 7 two executions differ, 8 a mistake in Muxflow "
    "(a log is written), 130 interrupted, 128 + N ended by signal N, 141 nobody reads the output any more. "
    'With `--json` an error is an object too: `{"error": ..., "exit_code": ...}`.',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"muxflow {muxflow.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
