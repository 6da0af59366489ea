"""What a network is that trains in two stages."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from muxflow.frontend.training.datasets.dataset import Dataset


@runtime_checkable
class Staged(Protocol):
    """A network of which the first half of the epochs trains another form (`first_stage`), the rest what that becomes."""

    def first_stage(self) -> Any:
        """Give the network that is trained first, with the weights of this one."""

    def second_stage(self, trained: Any, train_set: Dataset) -> Any:
        """Give the network that goes on from the trained one; only training images may decide what it looks like."""
