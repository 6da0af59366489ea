"""The command line: thin over the Python API."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

import muxflow
from muxflow.cli.bitstream import bitstream
from muxflow.cli.build import build
from muxflow.cli.console import (
    BoardOption,
    InputScale,
    Json,
    ModelArgument,
    ProjectArgument,
    answer,
    err,
    fraction,
    out,
    stages,
)
from muxflow.cli.fit import fit
from muxflow.cli.sweep import sweep
from muxflow.dataflow.errors import MuxflowError

app = typer.Typer(
    help="Streaming FPGA accelerators for ultra-low-bit networks, verified bit for bit.\n\n"
    "A first run: `muxflow demo`. With a model of your own: `muxflow check model.onnx`, then "
    "`muxflow fit model.onnx --board pynq-z2`, `muxflow build model.onnx --board pynq-z2`, and "
    "`muxflow csim build/model`.\n\n"
    "Exit codes: 0 done, 1 error, 2 usage, 3 model not supported, 4 graph error, 5 does not fit the board, "
    "6 a tool is absent or failed, 7 two executions differ, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)


@app.command()
def train(
    preset: Annotated[
        str,
        typer.Argument(
            metavar="PRESET",
            help="mognet_digits, mognet_cifar10 or mognet_cifar100 (Brevitas); mognet_digits_qkeras or "
            "residual_digits_qkeras (QKeras, in two minutes and without checkpoints).",
        ),
    ] = "mognet_digits",
    select: Annotated[str, typer.Option(help="Residual join: channel, channel-mean, element, always, or.")] = "channel",
    data: Annotated[Path | None, typer.Option(help="Folder with the data set's files (digits need none).")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs; the preset's recipe when absent.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and order.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder for the model, its weights and its figures.")] = Path(
        "build/train"
    ),
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    threads: Annotated[int, typer.Option(help="Torch threads; results are reproducible with 1.")] = 1,
    as_json: Json = False,
) -> None:
    """Train a preset and export it as QONNX (Keras: .h5); an interrupted run goes on where it stopped."""
    from muxflow.frontend.training.keras import trainer as keras_training

    if preset in keras_training.NAMES:
        if select != "channel" or data or threads != 1:
            raise MuxflowError(f"{preset}: --select, --data and --threads are options of the Brevitas presets only")
        result = keras_training.train_keras(preset, epochs=epochs, seed=seed, output=output, progress=not as_json)
    else:
        from muxflow.frontend.training.trainer import train_preset

        result = train_preset(
            preset,
            select=select,
            data=data,
            epochs=epochs,
            seed=seed,
            output=output,
            resume=resume,
            threads=threads,
            progress=not as_json,
        )
    entry = {
        "model": str(result.model),
        "report": str(result.report),
        "dataset": result.dataset,
        "split": result.split,
        "images": result.images,
        "accuracy": result.accuracy,
        "epochs": result.epochs,
        "seed": result.seed,
        "seconds": round(result.seconds, 1),
    }
    answer(
        entry,
        as_json,
        lambda: out.print(
            f"{result.model}: accuracy {100 * result.accuracy:.2f} % on {result.dataset}, {result.split} split, "
            f"{result.images} images ({result.epochs} epochs, seed {result.seed}, {result.seconds:.0f} s)"
        ),
    )


@app.command()
def check(model: ModelArgument, input_scale: InputScale = None, as_json: Json = False) -> None:
    """Say of every node of a model whether it is supported, and what to do about those that are not."""
    statuses = muxflow.check(model, input_scale=fraction(input_scale))
    bad = [status for status in statuses if not status.supported]

    def show() -> None:
        table = Table(box=None)
        for column in ("node", "op", "", "what to do"):
            table.add_column(column, overflow="fold")
        for status in statuses:
            mark = "[green]ok[/]" if status.supported else "[red]no[/]"
            table.add_row(status.node, status.op_type, mark, status.message)
        out.print(table)
        out.print(f"{len(statuses) - len(bad)} of {len(statuses)} nodes supported")

    entry = {
        "supported": not bad,
        "nodes": [{"node": s.node, "op": s.op_type, "supported": s.supported, "message": s.message} for s in statuses],
    }
    answer(entry, as_json, show)
    if bad:
        raise typer.Exit(3)


app.command()(fit)
app.command()(build)
app.command()(sweep)


@app.command()
def csim(
    project: ProjectArgument,
    variant: Annotated[
        Literal["native", "reference", "both"], typer.Option(help="Plain C++ integers, ap_int types, or both.")
    ] = "both",
    data: Annotated[
        str | None, typer.Option(help="Data set: digits, cifar10, cifar100, stl10; random codes when absent.")
    ] = None,
    data_folder: Annotated[Path | None, typer.Option(help="Folder with the data set's files.")] = None,
    split: Annotated[str, typer.Option(help="Split of the data set: train or test.")] = "test",
    count: Annotated[int | None, typer.Option(min=1, help="Images; all of a data set, or 16 random ones.")] = None,
    bounded: Annotated[
        bool, typer.Option("--bounded", help="FIFOs have exactly their depths: finds deadlocks.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that share the images.")] = os.cpu_count() or 1,
    as_json: Json = False,
) -> None:
    """Simulate a project in C and compare every node with the graph, and the graph with the model, bit for bit."""
    from muxflow.proving import dataset_images, project_report, prove, random_images
    from muxflow.reports.render import terminal, to_json

    opened = muxflow.open_project(project)
    graph = opened.design.graph
    images = (
        random_images(graph, count or 16) if data is None else dataset_images(graph, data, split, data_folder, count)
    )
    variants: Any = ("native", "reference") if variant == "both" else (variant,)
    with stages(as_json) as stage:
        _, _, speeds = prove(opened, images, variants=variants, bounded=bounded, jobs=jobs, stage=stage)
    report = project_report(opened, version("muxflow"))

    def show() -> None:
        out.print(terminal(report, nodes=False))
        for name in variants:
            out.print(f"C simulation, {name}: {speeds[name]:.1f} images/s with every stream recorded")

    answer({**json.loads(to_json(report)), "images_per_second": speeds}, as_json, show)


@app.command()
def report(
    project: ProjectArgument,
    formats: Annotated[str, typer.Option("--format", "-f", help="Comma-separated: txt, html, json, csv, tex.")] = (
        "txt,html,json,csv,tex"
    ),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; PROJECT/report when absent.")] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a project: resources, cycles, memory, proof ladder."""
    from muxflow.proving import project_report
    from muxflow.reports.render import terminal, to_json, write_report

    opened = muxflow.open_project(project)
    made = project_report(opened, version("muxflow"))
    chosen = tuple(name.strip() for name in formats.split(",") if name.strip())
    paths = write_report(made, output or opened.path / "report", chosen)

    def show() -> None:
        out.print(terminal(made))
        for path in paths:
            out.print(os.path.relpath(path))

    answer({**json.loads(to_json(made)), "files": [str(path) for path in paths]}, as_json, show)


app.command()(bitstream)


@app.command()
def boards(as_json: Json = False) -> None:
    """List the boards."""
    from muxflow.board.board import boards as known

    def show() -> None:
        table = Table(box=None)
        for column in ("board", "part", "LUT", "FF", "BRAM18", "DSP", "MHz", "tools"):
            table.add_column(column, justify="right" if column in ("LUT", "FF", "BRAM18", "DSP", "MHz") else "left")
        for one in known().values():
            d = one.device
            numbers = (f"{d.lut:,}", f"{d.ff:,}", str(d.bram18), f"{d.dsp:,}", f"{one.clock_mhz:g}")
            table.add_row(one.name, d.part, *numbers, one.tools)
        out.print(table)

    entry = {
        name: {
            "part": b.device.part,
            "lut": b.device.lut,
            "ff": b.device.ff,
            "bram18": b.device.bram18,
            "dsp": b.device.dsp,
            "clock_mhz": b.clock_mhz,
            "tools": b.tools,
            "products": b.products,
        }
        for name, b in known().items()
    }
    answer(entry, as_json, show)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, and what each missing tool would add."""
    from muxflow.doctor import findings

    found = findings()

    def show() -> None:
        table = Table(box=None)
        for column in ("", "tool", "version", "for", "how to get it"):
            table.add_column(column, overflow="fold")
        for one in found:
            mark = "[green]found[/]" if one.found else "[yellow]absent[/]"
            table.add_row(mark, one.name, one.version, one.purpose, "" if one.found else one.remedy)
        out.print(table)

    answer(
        {
            one.name: {"found": one.found, "version": one.version, "for": one.purpose, "remedy": one.remedy}
            for one in found
        },
        as_json,
        show,
    )


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path(
        "build/demo"
    ),
    board: BoardOption = "pynq-z2",
    select: Annotated[
        str, typer.Option(help="Which of the shipped models: channel, channel-mean, element, always.")
    ] = ("channel"),
    as_json: Json = False,
) -> None:
    """Do the whole job on the shipped digits network: export, import, fit, project, simulation, report."""
    from muxflow.demo import run_demo

    with stages(as_json) as stage:
        result = run_demo(output, board=board, select=select, stage=stage)
    answer(result.entry, as_json, lambda: result.show(out))


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"muxflow {version('muxflow')}")
        raise typer.Exit


@app.callback()
def _main(
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: an error is one message on standard error and a non-zero exit code, never a traceback."""
    try:
        app()
    except MuxflowError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as error:
        err.print(f"[bold red]error:[/] the package {error.name} is not installed; `muxflow doctor` says how to get it")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        err.print("interrupted")
        raise SystemExit(130) from None
