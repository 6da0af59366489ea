"""The command `muxflow train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from muxflow.cli.console import Json, answer, out
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.quantities import counted, percent, rounded
from muxflow.dataflow.text import unknown

COLUMNS = ("preset", "library", "dataset", "epochs")
"""Of the list of presets."""


def train(
    preset: Annotated[
        str,
        typer.Argument(
            metavar="PRESET",
            help="A ready-made network: `muxflow train --list` lists all, with their data sets and epochs.",
        ),
    ] = "mognet_digits",
    select: Annotated[
        str | None,
        typer.Option(
            help="Residual join where it is not the preset's: channel, channel-mean, element, always, or (Brevitas)."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the data set's files (digits, mnist_5k, mnist_5k_padded, moving_digits need none)."
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Folder with photographs to train encoder_digits on, besides those that packages ship."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs; the preset's recipe when absent.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and order.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder for the model, its weights and its figures.")] = Path(
        "build/train"
    ),
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a model of another training, or files that are not Muxflow's, or were changed since.",
        ),
    ] = False,
    threads: Annotated[int, typer.Option(help="Torch threads; results are reproducible with 1.")] = 1,
    validate: Annotated[
        bool,
        typer.Option(help="Measure on a fifth of the training split that is kept aside, not on the test split."),
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the presets, and train nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Train a preset and export it as QONNX (Keras: .h5); an interrupted run goes on where it stopped."""
    from muxflow.frontend.training.keras import trainer as keras_training

    if listed:
        found = presets()
        answer({"presets": found}, as_json, lambda: out.print(table(found)))
        return
    if preset in keras_training.NAMES:
        if select or data or pictures or threads != 1 or validate:
            raise UsageError(
                f"{preset}: --select, --data, --pictures, --threads and --validate are options of the Brevitas presets only"
            )
        result = keras_training.train_keras(
            preset, epochs=epochs, seed=seed, output=output, force=force, progress=not as_json
        )
    else:
        from muxflow.frontend.training.trainer import train_preset

        if preset not in (known := [str(one["preset"]) for one in presets()]):
            raise UsageError(unknown("preset", preset, known, "has no training recipe"))
        result = train_preset(
            preset,
            select=select,
            data=data,
            pictures=pictures,
            epochs=epochs,
            seed=seed,
            output=output,
            resume=resume,
            force=force,
            threads=threads,
            progress=not as_json,
            validate=validate,
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
    if result.decoder is not None:
        entry["compression"] = {"decoder": str(result.decoder), "psnr": dict(result.psnr)}

    def show() -> None:
        out.print(
            f"{result.model}: accuracy {percent(result.accuracy)} on {result.dataset}, {result.split} split, "
            f"{counted(result.images, 'image')} "
            f"({counted(result.epochs, 'epoch')}, seed {result.seed}, {rounded(result.seconds)} s)"
        )
        if result.decoder is not None:
            each = ", ".join(f"{name} {value:.2f} dB" for name, value in result.psnr.items())
            out.print(f"{result.decoder}: PSNR of the photographs of the {result.split} split, luma: {each}")

    answer(entry, as_json, show)


def presets() -> list[dict[str, str | int]]:
    """List what can be trained by name: preset, library, data set, epochs."""
    from muxflow.frontend.training.keras import trainer as keras_training
    from muxflow.frontend.training.recipes import RECIPES

    rows = [(name, "Brevitas", dataset, recipe.epochs) for name, (dataset, recipe) in RECIPES.items()]
    rows += [(name, "QKeras", keras_training.DATASET, keras_training.EPOCHS) for name in keras_training.NAMES]
    return [dict(zip(COLUMNS, row, strict=True)) for row in sorted(rows)]


def table(found: list[dict[str, str | int]]) -> Table:
    """Lay out one row a preset."""
    shown = Table(box=None)
    for column in COLUMNS:
        shown.add_column(column, justify="right" if column == "epochs" else "left")
    for one in found:
        shown.add_row(*map(str, one.values()))
    return shown
