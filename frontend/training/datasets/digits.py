"""The 8x8 handwritten digits that scikit-learn ships."""

from __future__ import annotations

from typing import Any

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.packages import install_extra
from muxflow.frontend.training.datasets.dataset import Dataset, Split, check_split, held_out

TEST_SHARE = 0.25
SPLIT_SEED = 0


def load_digits(split: Split) -> Dataset:
    """Load the 8x8 handwritten digits bundled with scikit-learn: (N, 8, 8, 1), 10 classes.

    Grey levels 0..16 become pixels min(255, 16*v). The held-out test split is 25 % of each class (rounded), drawn by
    PCG64(0) class after class; both splits keep the original order.
    Raises MuxflowError when the split is unknown or scikit-learn is absent. Source: UCI digits; split: decision.
    """
    check_split("digits", split)
    try:
        import sklearn.datasets
    except ModuleNotFoundError as error:
        raise MuxflowError(f"data set digits: scikit-learn is not installed: {install_extra('train')}") from error
    bunch: Any = sklearn.datasets.load_digits()
    images = np.minimum(255, 16 * bunch.images).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    test = held_out(labels, TEST_SHARE, SPLIT_SEED)
    chosen = test if split == "test" else ~test
    return Dataset("digits", split, images[chosen], labels[chosen], tuple("0123456789"))
