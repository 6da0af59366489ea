"""Batch statistics measured anew after the last epoch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.datasets.dataset import Dataset


def remeasured(model: nn.Module, dataset: Dataset, images: int = 2048, batch: int = 256) -> nn.Module:
    """Measure the statistics of every batch norm anew, one after the other in the order of evaluation, in place.

    Those before it already have the statistics of evaluation. In networks of few bits a background that lies near a
    threshold changes its code from batch to batch, and averages over such batches fit none of them. Frozen bit-shift norms
    are left alone: the last epochs trained with their statistics. `images` of the data set are drawn (same ones each time)
    and taken as they are; the model is left in evaluation mode and returned. Source: decision.
    """
    drawn = np.random.Generator(np.random.PCG64(0)).permutation(len(dataset))[:images]
    order: list[nn.modules.batchnorm._BatchNorm] = []
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and not (isinstance(module, BitShiftNorm2d) and module.frozen)
    ]
    hooks = [norm.register_forward_hook(lambda met, *_: order.append(met)) for norm in norms]
    model.eval()
    with torch.no_grad():
        model(torch.from_numpy(dataset.tensor_images(slice(1))))
        for hook in hooks:
            hook.remove()
        for norm in order:
            momentum, norm.momentum = norm.momentum, None  # a plain average over the batches
            norm.reset_running_stats()
            norm.train()
            for start in range(0, len(drawn), batch):
                model(torch.from_numpy(dataset.tensor_images(drawn[start : start + batch])))
            norm.eval()
            norm.momentum = momentum
    return model
