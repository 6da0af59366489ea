"""The command `muxflow train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muxflow.cli.console import Json, answer, out
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.quantities import counted, percent, rounded


def train(
    preset: Annotated[
        str,
        typer.Argument(
            metavar="PRESET",
            help="mognet_digits, mognet_mnist, mognet_cifar10, mognet_cifar100, ern_mnist, ern18_075, ern18, ern34, ern50, "
            "ern101, encoder_digits, encoder_1mb, or_resnet, mux_resnet, add_resnet, mobilenet_hybrid, "
            "mobilenet_hybrid_mnist, billnet or billnet_moving_digits (Brevitas); mognet_digits_qkeras or "
            "residual_digits_qkeras (QKeras, in two minutes and without checkpoints).",
        ),
    ] = "mognet_digits",
    select: Annotated[
        str | None,
        typer.Option(help="Residual join of a MOGNET: channel (its preset's), channel-mean, element, always, or."),
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
    threads: Annotated[int, typer.Option(help="Torch threads; results are reproducible with 1.")] = 1,
    validate: Annotated[
        bool,
        typer.Option(help="Measure on a fifth of the training split that is kept aside, not on the test split."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a preset and export it as QONNX (Keras: .h5); an interrupted run goes on where it stopped."""
    from muxflow.frontend.training.keras import trainer as keras_training

    if preset in keras_training.NAMES:
        if select or data or pictures or threads != 1 or validate:
            raise UsageError(
                f"{preset}: --select, --data, --pictures, --threads and --validate are options of the Brevitas presets only"
            )
        result = keras_training.train_keras(preset, epochs=epochs, seed=seed, output=output, progress=not as_json)
    else:
        from muxflow.frontend.training.trainer import RECIPES, train_preset

        if preset not in RECIPES:
            known = sorted((*RECIPES, *keras_training.NAMES))
            raise UsageError(f"preset {preset!r} has no training recipe; choose from {', '.join(known)}")
        result = train_preset(
            preset,
            select=select,
            data=data,
            pictures=pictures,
            epochs=epochs,
            seed=seed,
            output=output,
            resume=resume,
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
    answer(
        entry,
        as_json,
        lambda: out.print(
            f"{result.model}: accuracy {percent(result.accuracy)} on {result.dataset}, {result.split} split, "
            f"{counted(result.images, 'image')} "
            f"({counted(result.epochs, 'epoch')}, seed {result.seed}, {rounded(result.seconds)} s)"
        ),
    )
