"""Train a Keras 2 network on the digits: `python -m muxflow.frontend.training.keras.train NAME FILE EPOCHS SEED`.

A process of its own, because TensorFlow is large and QKeras needs Keras 2 under the name `keras`. One line of JSON an
epoch goes to the standard output, and at the end the number of right answers on the held-out split.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

sys.modules["keras"] = tf_keras  # Keras 3 may be installed beside it; QKeras must not meet it

from qkeras import QConv2D  # noqa: E402

from muxflow.frontend.training.datasets.dataset import Dataset  # noqa: E402
from muxflow.frontend.training.datasets.digits import load_digits  # noqa: E402
from muxflow.frontend.training.keras.zoo import NETWORKS, DenselyGroupedConv2D  # noqa: E402

BATCH, RATE, WARMUP, SHIFT, SMOOTHING = 64, 1e-2, 2, 1, 0.05
"""The recipe of both networks (decision): images a step, peak rate of Adam, epochs of warm-up, pixels of random shift,
label smoothing."""
Images = np.ndarray[Any, np.dtype[np.float32]]


def rate(epoch: int, epochs: int) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine down to nearly zero."""
    if epoch < WARMUP:
        return RATE * (epoch + 1) / (WARMUP + 1)
    return RATE * 0.5 * (1 + math.cos(math.pi * (epoch - WARMUP + 0.5) / max(epochs - WARMUP, 1)))


def shifted(images: Images, random: np.random.Generator) -> Images:
    """Copy images (N, H, W, C) that are moved by up to SHIFT pixels, zeros coming in."""
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    down, right = random.integers(0, 2 * SHIFT + 1, (2, count, 1))
    rows, columns = down + np.arange(height), right + np.arange(width)
    moved: Images = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


def pixels(dataset: Dataset) -> Images:
    """Return what the networks take: (N, H, W, C), pixel p as p/256."""
    return dataset.images[:].astype(np.float32) / np.float32(256)


def train(name: str, epochs: int, seed: int) -> tuple[Any, int, int]:
    """Train a network; return it, its right answers on the held-out digits and their number; same seed, same weights."""
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = NETWORKS[name](DenselyGroupedConv2D)
    training, test = load_digits("train"), load_digits("test")
    model.compile(
        tf_keras.optimizers.Adam(RATE),
        tf_keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
    )
    images, labels = pixels(training), np.eye(len(training.classes), dtype=np.float32)[training.labels]
    for epoch in range(epochs):
        random = np.random.Generator(np.random.PCG64((seed, epoch)))
        order = random.permutation(len(training))
        model.optimizer.learning_rate.assign(rate(epoch, epochs))
        fitted = model.fit(shifted(images[order], random), labels[order], batch_size=BATCH, shuffle=False, verbose=0)
        print(json.dumps({"epoch": epoch + 1, "loss": round(float(fitted.history["loss"][0]), 4)}), flush=True)
    trained = NETWORKS[name](QConv2D)
    trained.set_weights(model.get_weights())
    trained.compile(run_eagerly=True)  # a compiled one fuses convolution and bias, and then knows no groups
    correct = int((trained.predict(pixels(test), verbose=0).argmax(axis=1) == test.labels).sum())
    return trained, correct, len(test)


def main(arguments: list[str]) -> None:
    """Train, save without the optimizer's state, and say how many answers are right."""
    name, file, epochs, seed = arguments
    model, correct, images = train(name, int(epochs), int(seed))
    model.save(file, include_optimizer=False, save_format="h5")
    print(json.dumps({"correct": correct, "images": images}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
