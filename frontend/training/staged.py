"""What a network is that trains in several stages."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from muxflow.frontend.training.datasets.dataset import Dataset


@runtime_checkable
class Staged(Protocol):
    """A network that trains in stages, each of which goes on from what the one before left."""

    shares: tuple[int, ...]
    """Of the epochs, for each stage."""

    def stage(self, number: int, trained: Any, train_set: Dataset) -> Any:
        """Give the network that stage `number` trains, from the `trained` one of the stage before (first: this network).

        Only training images may decide what it looks like.
        """


def stage_epochs(shares: tuple[int, ...], epochs: int) -> tuple[int, ...]:
    """Part epochs by shares; where there are fewer than stages the last one gets all."""
    if epochs < len(shares):
        return (*(0 for _ in shares[1:]), epochs)
    ends = [epochs * sum(shares[: place + 1]) // sum(shares) for place in range(len(shares))]
    return tuple(end - start for start, end in zip((0, *ends), ends, strict=False))
