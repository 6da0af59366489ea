"""How each ready-made network is trained: data set, epochs, rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from muxflow.dataflow.errors import UsageError
from muxflow.frontend.training import zoo_billnet, zoo_ern, zoo_mobilenet, zoo_residual
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.result import MOST_EPOCHS, MOST_SEED


@dataclass(frozen=True)
class TrainConfig:
    """A training recipe.

    `epochs`, `batch`: positive; `lr`: peak rate of Adam, after `warmup` epochs, then half a cosine down to zero;
    `seed`: order of images and augmentation; `shift`: random translation by up to this many pixels, zero padded;
    `flip`: random left-right flips; `threshold_rate`: factor on `lr` for the thresholds of MuxJoin joins, which are
    counted in codes (0..2^k-1) and at the weights' rate would hardly reach another integer; `freeze`: last epochs with
    the HEQ steps and bit-shift norms frozen, the latter measured anew before; `remeasure`: after the last epoch measure
    batch statistics anew, see `remeasured`; `smoothing`: label smoothing.
    Raises MuxflowError when a field is out of range. Source: decision.
    """

    epochs: int = 60
    batch: int = 64
    lr: float = 4e-3
    warmup: int = 2
    seed: int = 0
    shift: int = 1
    flip: bool = False
    threshold_rate: float = 10.0
    freeze: int = 10
    remeasure: bool = False
    smoothing: float = 0.05

    def __post_init__(self) -> None:
        check_fields("training", self)
        check_range("training", self, 1, "epochs", most=MOST_EPOCHS)
        check_range("training", self, 1, "batch")
        check_range("training", self, 0, "warmup", "freeze", most=MOST_EPOCHS)
        check_range("training", self, 0, "seed", most=MOST_SEED)
        check_range("training", self, 0, "shift", "threshold_rate")
        check_range("training", self, 0, "smoothing", most=1)
        if not self.lr > 0:
            raise UsageError(f"training: lr = {self.lr}; use a positive learning rate")

    def rate(self, progress: float) -> float:
        """Return the learning rate after `progress` epochs (fractions count)."""
        if progress < self.warmup:
            return self.lr * (progress + 1e-3) / self.warmup
        span = max(self.epochs - self.warmup, 1)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min((progress - self.warmup) / span, 1)))


RECIPES: dict[str, tuple[str, TrainConfig]] = {
    "mognet_digits": ("digits", TrainConfig()),
    "mognet_cifar10": ("cifar10", TrainConfig(epochs=200, batch=128, shift=4, flip=True, freeze=20)),
    "mognet_cifar100": ("cifar100", TrainConfig(epochs=200, batch=128, shift=4, flip=True, freeze=20)),
    "mognet_mnist": ("mnist_5k", TrainConfig(epochs=30, shift=2, remeasure=True)),
    **{name: ("imagenet", TrainConfig(epochs=120, batch=256, flip=True, shift=8)) for name in zoo_ern.PRESETS},
    "ern_mnist": ("mnist_5k", TrainConfig(epochs=40, lr=1e-2, shift=2, remeasure=True)),
    "encoder_digits": ("mnist_5k_padded", TrainConfig(epochs=64, lr=3e-2, shift=2)),
    **{name: ("mnist_5k", TrainConfig(epochs=20, shift=2, remeasure=True)) for name in zoo_residual.PRESETS},
    "billnet": ("jester", TrainConfig(epochs=40, batch=16, lr=4e-3, shift=8, remeasure=True)),
    **{
        name: ("moving_digits", TrainConfig(epochs=48, batch=32, warmup=0, shift=0, remeasure=True))
        for name in zoo_billnet.PRESETS
        if "digits" in name
    },
    "encoder_1mb": ("cifar10", TrainConfig(epochs=200, batch=128, lr=3e-2, shift=4, flip=True, freeze=20)),
    **{name: ("imagenet", TrainConfig(epochs=120, batch=256, flip=True, shift=8)) for name in zoo_mobilenet.PRESETS},
    **{
        name: ("mnist_5k", TrainConfig(epochs=40, lr=5e-3, shift=2, remeasure=True))
        for name in zoo_mobilenet.PRESETS
        if "mnist" in name
    },
}
"""Data set and training recipe of each preset (decisions)."""
