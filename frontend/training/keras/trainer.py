"""Training of the Keras 2 networks that ship with Muxflow; TensorFlow runs in a process of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.limits import check_option
from muxflow.dataflow.outputs import OutputFolder
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import unknown
from muxflow.frontend.keras.process import keras_child
from muxflow.frontend.training.datasets.digits import load_digits
from muxflow.frontend.training.progress import training_bars
from muxflow.frontend.training.result import MOST_EPOCHS, MOST_SEED, TrainResult, check_run

NAMES = ("mognet_digits_qkeras", "residual_digits_qkeras")
"""The networks of `keras_zoo.NETWORKS`, which only a process with TensorFlow can import."""
DATASET, EPOCHS = "digits", 60


def train_keras(
    name: str,
    *,
    epochs: int | None = None,
    seed: int = 0,
    output: str | Path,
    force: bool = False,
    progress: bool = True,
) -> TrainResult:
    """Train a network on scikit-learn's digits and write `<name>.h5` and `<name>.json` into the folder `output`.

    `epochs`: None takes EPOCHS, one to two minutes on two cores; `seed`: initial weights, order and shifts; `force`: also
    where that replaces a model of another training, or files that were changed, or are somebody else's. The same seed gives
    the same file on the same machine. There are no checkpoints.
    Raises MuxflowError when an argument is out of range, the data set is absent or what is written has no place, ToolError
    when the extra `qkeras` is not installed or TensorFlow fails.
    """
    epochs = EPOCHS if epochs is None else epochs
    if name not in NAMES:
        raise UsageError(unknown("network", name, NAMES))
    check_option(epochs, 1, MOST_EPOCHS, "training: {} epochs", f"use 1 to {MOST_EPOCHS}")
    check_option(seed, 0, MOST_SEED, "training: seed {}", f"use 0 to {MOST_SEED}")
    training, test = load_digits("train"), load_digits("test")
    folder = Path(output)
    model, report = f"{name}.h5", f"{name}.json"
    command = f"muxflow train {name} --epochs {epochs} --seed {seed}"
    place = OutputFolder(folder, force=force)
    place.check(model, report)
    check_run(place, report, model, command)
    began = time.monotonic()
    what = f"training of {name}"
    with (
        scratch_folder() as scratch,
        training_bars(progress) as begin,
        keras_child("training.keras.train", [name, f"{scratch}/model.h5", str(epochs), str(seed)], what) as child,
    ):
        told = begin(f"train on {training.name}, epochs", epochs, 0)
        for epoch in range(epochs):
            told(epoch + 1, float(child.answer(what)["loss"]))
        correct = int(child.answer(what)["correct"])
        trained = (scratch / "model.h5").read_bytes()
    accuracy = round(correct / len(test), 6)
    facts = {
        "command": command,
        "dataset": test.name,
        "split": f"{test.split} ({counted(len(test), 'image')} held out of {len(test) + len(training)})",
        "images": len(test),
        "correct": correct,
        "accuracy": accuracy,
    }
    contents = {model: trained, report: (json.dumps(facts, indent=2) + "\n").encode()}
    place.write(contents, lambda: check_run(place, report, model, command))
    written = folder / model, folder / report
    return TrainResult(*written, test.name, test.split, len(test), accuracy, epochs, seed, time.monotonic() - began)
