"""Every data set by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.text import unknown
from muxflow.frontend.training.datasets.cifar import load_cifar10, load_cifar100
from muxflow.frontend.training.datasets.dataset import Dataset, Split
from muxflow.frontend.training.datasets.digits import load_digits
from muxflow.frontend.training.datasets.imagenet import load_imagenet
from muxflow.frontend.training.datasets.jester import load_jester
from muxflow.frontend.training.datasets.mnist import load_mnist, load_mnist_5k, load_mnist_5k_padded
from muxflow.frontend.training.datasets.moving_digits import load_moving_digits
from muxflow.frontend.training.datasets.stl10 import load_stl10

PACKAGED: dict[str, Callable[[Split], Dataset]] = {
    "digits": load_digits,
    "mnist_5k": load_mnist_5k,
    "mnist_5k_padded": load_mnist_5k_padded,
    "moving_digits": load_moving_digits,
}
"""Data sets that a Python package ships, by name."""

LOADERS: dict[str, Callable[[Path, Split], Dataset]] = {
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "imagenet": load_imagenet,
    "jester": load_jester,
    "mnist": load_mnist,
    "stl10": load_stl10,
}
"""Data sets that are read from a folder, by name."""


def load(name: str, split: Split, folder: str | Path | None = None) -> Dataset:
    """Load a split by the name of its data set, from `folder` where no package ships it.

    Raises UsageError when the name is unknown, or a folder is needed and not given or the other way round, MuxflowError
    when the loader fails.
    """
    if name in PACKAGED:
        if folder is not None:
            raise UsageError(
                f"data set {name}: a package ships it, so it is not read from {folder}; leave the folder out"
            )
        return PACKAGED[name](split)
    if name not in LOADERS:
        raise UsageError(unknown("data set", name, (*PACKAGED, *LOADERS)))
    if folder is None:
        raise UsageError(
            f"data set {name}: give the folder of its files, which are not downloaded (muxflow csim: --data-folder, muxflow "
            "train: --data)"
        )
    return LOADERS[name](Path(folder), split)
