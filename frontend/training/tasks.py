"""What a network is trained for beside its classes, and which of its outputs are the logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def logits_of(answer: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the logits of a network's answer: the first of several outputs."""
    return answer[0] if isinstance(answer, tuple) else answer


class Objective(nn.Module):  # type: ignore[misc]
    """A further task that a network is trained for together with the classes, in the same batches.

    Its own parameters, as those of a decoder, are trained and kept in the checkpoint with the network's. `description`: all
    that a checkpoint must agree on, as text.
    """

    description: str

    def images(self, generator: torch.Generator) -> Tensor:
        """Draw the images (M, C, H, W) of one step; they follow the data set's in the network's batch."""
        raise NotImplementedError

    def loss(self, answer: Any, images: Tensor) -> Tensor:
        """Return the weighted loss of the network's answer to these images, a 0-d tensor."""
        raise NotImplementedError
