"""Quantization-aware training: deterministic on one thread, resumable at every epoch, ending in a QONNX file."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.folders import check_writable, scratch_folder
from muxflow.dataflow.limits import check_option
from muxflow.dataflow.outputs import OutputFolder, check_unlinked
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import shown, unknown
from muxflow.frontend.training import presets
from muxflow.frontend.training.bit_shift_norm import freeze_bit_shifts
from muxflow.frontend.training.compression import CompressionConfig, train_compression, training_pictures
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.datasets.registry import PACKAGED, load
from muxflow.frontend.training.frame_decoder import FrameDecoder, decoder_bytes
from muxflow.frontend.training.joins import MuxJoin
from muxflow.frontend.training.progress import training_bars
from muxflow.frontend.training.quantizers import freeze_heq
from muxflow.frontend.training.recipes import RECIPES, TrainConfig
from muxflow.frontend.training.remeasure import remeasured
from muxflow.frontend.training.result import TrainResult, check_run
from muxflow.frontend.training.staged import Staged, stage_epochs
from muxflow.frontend.training.stages import count_of, read_checkpoint, restore_model, restore_optimizer
from muxflow.frontend.training.state_file import write_state
from muxflow.frontend.training.trained import export_trained

CHECKPOINT = "checkpoint.pt"
MOST_THREADS = 1024
"""Threads that a training may ask for (decision)."""


@dataclass(frozen=True)
class Evaluation:
    """How many of `images` images a model classifies right."""

    correct: int
    images: int

    @property
    def accuracy(self) -> float:
        """The share of right answers, 0..1."""
        return self.correct / self.images


def logits_of(answer: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the logits of a network's answer: the first of several outputs."""
    return answer[0] if isinstance(answer, tuple) else answer


def evaluate(model: nn.Module, dataset: Dataset, batch: int = 256) -> Evaluation:
    """Classify a whole data set in evaluation mode (the model's mode is restored); raises MuxflowError when empty."""
    if not len(dataset):
        raise MuxflowError(f"data set {dataset.name} ({dataset.split}): no images to evaluate")
    was_training = model.training
    model.eval()
    correct = 0
    with torch.no_grad():
        for start in range(0, len(dataset), batch):
            chosen = slice(start, start + batch)
            answers = logits_of(model(torch.from_numpy(dataset.tensor_images(chosen)))).argmax(1).numpy()
            correct += int((answers == dataset.labels[chosen]).sum())
    model.train(was_training)
    return Evaluation(correct, len(dataset))


def augment(images: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Shift and flip copies of `images` (N, C, ..., H, W) at random, as `config` says; shape and range stay."""
    count, (height, width) = len(images), images.shape[-2:]
    if config.shift:
        offsets = torch.randint(0, 2 * config.shift + 1, (2, count, 1), generator=generator)
        rows, columns = offsets[0] + torch.arange(height), offsets[1] + torch.arange(width)
        padded = nn.functional.pad(images, [config.shift] * 4).movedim((-2, -1), (1, 2))
        moved = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        images = moved.movedim((1, 2), (-2, -1))
    if config.flip:
        chosen = torch.rand(count, generator=generator) < 0.5
        images = torch.where(chosen.view(-1, *(1 for _ in images.shape[1:])), images.flip(-1), images)
    return images


def train(
    model: nn.Module,
    train_set: Dataset,
    test_set: Dataset,
    config: TrainConfig,
    output_dir: str | Path,
    *,
    resume: bool = True,
    progress: bool = True,
    on_epoch: Callable[[int, float], None] | None = None,
) -> Evaluation:
    """Train `model` in place and return its result on `test_set`, which is only looked at once, at the end.

    Each epoch ends with a checkpoint in `output_dir`, written whole or not at all; with `resume`, a run continues from
    it and ends with the same weights as one that was never interrupted (same machine, one thread). `progress` shows a
    bar; `on_epoch(epoch, loss)` is called after each checkpoint.
    Raises MuxflowError when the data sets are empty or differ in classes, when the checkpoint belongs to another recipe
    or is unreadable, or when the loss is not finite.
    """
    if not len(train_set) or not len(test_set) or train_set.classes != test_set.classes:
        raise MuxflowError(
            f"training: {counted(len(train_set), 'training image')} and {len(test_set)} to test on, classes "
            f"{train_set.classes[:3]}... and {test_set.classes[:3]}...; give two splits of one data set"
        )
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    optimizer = torch.optim.Adam(_parameter_groups(model, config), lr=config.lr)
    recipe = _recipe(model, train_set, config)
    start = 0
    if resume and checkpoint.exists():
        state = read_checkpoint(checkpoint, recipe)
        start = count_of(checkpoint, state, "epoch", 1, config.epochs)
        restore_model(checkpoint, state, model)
        restore_optimizer(checkpoint, state, optimizer, start * -(-len(train_set) // config.batch))
    with training_bars(progress) as begin:
        told = begin(f"train on {train_set.name}, epochs", config.epochs, start)
        for epoch in range(start, config.epochs):
            loss = _epoch(model, optimizer, train_set, config, epoch)
            state = {"recipe": recipe, "epoch": epoch + 1, "model": model.state_dict()}
            write_state(checkpoint, {**state, "optimizer": optimizer.state_dict()})
            told(epoch + 1, loss)
            if on_epoch is not None:
                on_epoch(epoch, loss)
    if config.remeasure:
        remeasured(model, train_set)
    return evaluate(model, test_set)


def _epoch(model: nn.Module, optimizer: Any, train_set: Dataset, config: TrainConfig, epoch: int) -> float:
    """Run one pass over the shuffled images, mean loss; every random draw depends on the seed and the epoch only."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    frozen = epoch - max(config.epochs - config.freeze, 0)
    if frozen == 0 and freeze_bit_shifts(model, frozen=False):
        remeasured(model, train_set, batch=config.batch)
    model.train()
    for freeze in (freeze_heq, freeze_bit_shifts):
        freeze(model, frozen=frozen >= 0)
    labels = torch.from_numpy(train_set.labels)
    order = torch.randperm(len(labels), generator=generator).split(config.batch)
    total = 0.0
    for step, chosen in enumerate(order):
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * config.rate(epoch + step / len(order))
        images = augment(torch.from_numpy(train_set.tensor_images(chosen.numpy())), config, generator)
        logits = logits_of(model(images))
        loss = _loss(logits, labels[chosen], config.smoothing)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise MuxflowError(f"training: the loss is {value} in epoch {epoch + 1}; lower lr = {config.lr:g}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += value * len(chosen)
    return total / len(labels)


def _loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Compute the loss of logits (N, classes), or of those after each frame, (N, T, classes), all of which have the label."""
    rows = logits.flatten(0, -2)
    return nn.functional.cross_entropy(
        rows, labels.repeat_interleave(len(rows) // len(labels)), label_smoothing=smoothing
    )


def _parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the model's parameters with the factor on the learning rate that each group gets."""
    thresholds = [m.threshold for m in model.modules() if isinstance(m, MuxJoin) and m.threshold is not None]
    chosen = {id(p) for p in thresholds}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [{"params": rest, "factor": 1.0}, {"params": thresholds, "factor": config.threshold_rate}]


def _recipe(model: nn.Module, train_set: Dataset, config: TrainConfig) -> str:
    """Write all that a checkpoint must agree on, as text."""
    network = getattr(model, "config", type(model).__name__)
    data = f"{train_set.name} ({train_set.split}, {len(train_set)} images)"
    return f"{config}; {network}; {data}"


def _train_stages(
    model: Any, train_set: Dataset, test_set: Dataset, config: TrainConfig, folder: Path, resume: bool, progress: bool
) -> tuple[Any, Evaluation]:
    """Train in the stages of a network that has some, else at once; returns what the last leaves, and its result.

    Checkpoints are in `folder`, those of earlier stages beside it. The test set is only looked at after the last stage.
    """
    if not isinstance(model, Staged):
        return model, train(model, train_set, test_set, config, folder, resume=resume, progress=progress)
    whole, trained = model, model
    *earlier, last = stage_epochs(model.shares, config.epochs)
    for number, epochs in enumerate(earlier):
        if epochs:
            trained = whole.stage(number, trained, train_set)
            beside = folder.with_name(f"{folder.name}_stage_{number + 1}")
            train(
                trained, train_set, train_set, replace(config, epochs=epochs), beside, resume=resume, progress=progress
            )
    trained = whole.stage(len(earlier), trained, train_set)
    return trained, train(
        trained, train_set, test_set, replace(config, epochs=last), folder, resume=resume, progress=progress
    )


VALIDATION_SHARE = 0.2
"""Share of the training split that `validate` sets aside (decision)."""

DECODER = ".decoder"
"""Suffix of the file beside a trained encoder that holds the decoder of its codes."""


def file_name(preset: str, select: str | None) -> str:
    """Give the name of a trained network's files: the preset's, followed by the select mode where it is not its own."""
    if select is None or select == getattr(presets.family(preset).PRESETS[preset], "select", None):
        return preset
    return f"{preset}_{select.replace('-', '_')}"


def _loaded(name: str, folder: str | Path | None, progress: bool) -> tuple[Dataset, Dataset]:
    """Load the training and the test split, which takes a while where it makes clips; raises as `load` does."""
    with training_bars(progress) as begin:
        told = begin(f"load {name}, splits", 2, 0)
        train_set = load(name, "train", folder)
        told(1, None)
        return train_set, load(name, "test", folder)


def _call_of(preset: str, options: Mapping[str, Any]) -> str:
    """Write the command that repeats a training in the current folder, whose files and pictures its data are."""
    call = ", ".join((repr(preset), *(f"{key}={value!r}" for key, value in options.items()), "output='.'"))
    return f'python -c "from muxflow.frontend.training.trainer import train_preset; train_preset({call})"'


def _check_checkpoints(folder: Path, name: str, model: nn.Module) -> None:
    """Raise MuxflowError where a checkpoint of the training, or of one of its stages, has no place."""
    stages = range(1, len(model.shares)) if isinstance(model, Staged) else ()
    for below in (name, *(f"{name}_stage_{number}" for number in stages)):
        check_unlinked(folder, folder / below / CHECKPOINT)
        check_writable(folder / below / CHECKPOINT)


def _write_trained(
    place: OutputFolder,
    name: str,
    model: Any,
    report: Mapping[str, Any],
    decoder: FrameDecoder | None,
    again: Callable[[], None],
) -> None:
    """Write what a training left, all of it or nothing: weights, report, model and, of an encoder, its decoder."""
    with scratch_folder() as scratch:
        write_state(scratch / f"{name}.pt", model.state_dict())
        (scratch / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if decoder is not None:
            (scratch / f"{name}{DECODER}").write_bytes(decoder_bytes(decoder))
        export_trained(scratch / name, scratch / f"{name}.onnx")
        place.write({file.name: file.read_bytes() for file in sorted(scratch.iterdir())}, again)


def train_preset(
    preset: str = "mognet_digits",
    *,
    select: str | None = None,
    data: str | Path | None = None,
    pictures: str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    output: str | Path,
    resume: bool = True,
    force: bool = False,
    threads: int = 1,
    progress: bool = True,
    validate: bool = False,
) -> TrainResult:
    """Train a preset on its data set and write `<name>.onnx`, `<name>.pt` and `<name>.json` into the folder `output`.

    `preset`: one of `RECIPES`; `select`: residual join of a MOGNET, None for the preset's; `data`: folder of the data set's
    files, where no package ships it; `epochs`: None takes the recipe's; `seed`: initial weights and order; `resume`:
    continue from the checkpoint in `output/<name>/`; `force`: also where that replaces files that were changed since,
    or are somebody else's, or a model of another training, as beginning anew does too; `threads`: torch threads, results
    are reproducible for 1; `validate`: leave the test split alone, and measure on a fifth of the training split that is not
    trained on, to compare choices.
    `<name>`: see `file_name`. An encoder whose codes have layers of their own is trained for compression too, on the
    photographs that packages ship and those in the folder `pictures`, and `<name>.decoder` is written.
    Raises MuxflowError when an option is unknown, the data are absent or broken, what is written has no place, or
    training fails.
    """
    if preset not in RECIPES:
        raise UsageError(unknown("preset", preset, sorted(RECIPES), "has no training recipe"))
    check_option(threads, 1, MOST_THREADS, "training: threads = {}", f"use 1 to {MOST_THREADS}")
    dataset_name, config = RECIPES[preset]
    config = replace(config, seed=seed, epochs=config.epochs if epochs is None else epochs)
    zoo = presets.family(preset)
    if select is not None and not (isinstance(select, str) and hasattr(zoo.PRESETS[preset], "select")):
        raise UsageError(f"preset {preset!r} has no residual join {shown(select)}; leave out select")
    name = file_name(preset, select)
    chosen = {} if name == preset else {"select": select}
    model = zoo.build(preset, seed, **chosen)
    compresses = bool(getattr(model.config, "measured", ()))
    if pictures is not None and not compresses:
        raise UsageError(f"preset {preset!r} does not compress pictures, so it is not trained on {pictures}")
    photographs = training_pictures(pictures) if compresses else ()
    folder = Path(output)
    options = {
        **chosen,
        "epochs": config.epochs,
        "seed": seed,
        **({} if dataset_name in PACKAGED else {"data": "."}),
        **({} if pictures is None else {"pictures": "."}),
        **({"validate": True} if validate else {}),
    }
    command = _call_of(preset, options)
    place = OutputFolder(folder, force=force)

    def check_own() -> None:
        if resume:
            check_run(place, f"{name}.json", f"{name}.onnx", command, "begin anew with --no-resume (resume=False)")

    place.check(*(f"{name}{ending}" for ending in (".pt", ".json", ".onnx", *((DECODER,) if compresses else ()))))
    check_own()
    _check_checkpoints(folder, name, model)
    train_set, test_set = _loaded(dataset_name, data, progress)
    whole = len(train_set) + len(test_set)
    if validate:
        whole = len(train_set)
        train_set, test_set = train_set.without(VALIDATION_SHARE)
    previous = torch.get_num_threads()
    torch.set_num_threads(threads)
    began = time.monotonic()
    decoder: FrameDecoder | None = None
    compression: dict[str, Any] = {}
    try:
        model, result = _train_stages(model, train_set, test_set, config, folder / name, resume, progress)
        if compresses:
            recipe = CompressionConfig(seed=seed).scaled(config.epochs / RECIPES[preset][1].epochs)
            decoder, compression = train_compression(
                model, photographs, folder / name, recipe, resume=resume, progress=progress, validate=validate
            )
    finally:
        torch.set_num_threads(previous)
    report = {
        "command": command,
        "preset": preset,
        "dataset": dataset_name,
        "split": f"{test_set.split} ({len(test_set)} images held out of {whole})",
        "images": result.images,
        "correct": result.correct,
        "accuracy": round(result.accuracy, 6),
        **({"select": model.config.select} if hasattr(model.config, "select") else {}),
        "network": asdict(model.config),
        "recipe": asdict(config),
        **({"compression": compression} if decoder else {}),
    }
    _write_trained(place, name, model, report, decoder, check_own)
    return TrainResult(
        folder / f"{name}.onnx",
        folder / f"{name}.json",
        dataset_name,
        test_set.split,
        result.images,
        result.accuracy,
        config.epochs,
        seed,
        time.monotonic() - began,
        folder / f"{name}{DECODER}" if decoder is not None else None,
        compression.get("psnr", {}),
    )
