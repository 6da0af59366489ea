"""The result of a training run, and where the networks are that ship."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOST_EPOCHS, MOST_SEED = 10**6, 2**32 - 1
"""What a training may ask for: a decision, and what the random generators take."""

PRETRAINED = Path(__file__).parent / "pretrained"
"""The trained networks that ship with Muxflow, as `train_preset` and `train_keras` wrote them."""


@dataclass(frozen=True)
class TrainResult:
    """What a training run leaves: the model file, its json, the accuracy on the named split, and the wall time."""

    model: Path
    report: Path
    dataset: str
    split: str
    images: int
    accuracy: float
    epochs: int
    seed: int
    seconds: float
