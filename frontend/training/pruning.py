"""Structural pruning of an encoder: whole channels and whole blocks go, so what is left is a smaller encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch
from torch import Tensor

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import is_number
from muxflow.dataflow.text import shown
from muxflow.frontend.training.encoder_config import EncoderConfig
from muxflow.frontend.training.scales import is_whole
from muxflow.frontend.training.zoo_encoder import Encoder


def pruned(model: Encoder, keep: Sequence[float], *, multiple: int = 8, depths: Sequence[int] | None = None) -> Encoder:
    """Make a smaller encoder of a trained one's most important channels and blocks, to be trained on.

    `keep`: the share of channels that each stage keeps, in (0, 1]; `multiple`: the number of channels left is a multiple of
    it, rounded down, so that layers fold into as many parts; the groups divide it. `depths`: blocks that each stage keeps,
    all by default; the first one, which halves the map, always stays. The channels of a layer that stay have the filters
    of the largest mean size, as many of each group; the blocks those whose weights are largest. Weights, HEQ steps,
    statistics and shifts of what stays are copied; layers that measure patches for the code stay as they are.
    Raises MuxflowError where nothing of a stage would be left, or a number is out of range.
    Source: 1 Mb encoder (arXiv 2501.05097), structural pruning; what is important is a decision.
    """
    if not isinstance(model, Encoder):
        raise MuxflowError(f"pruning: {type(model).__name__}; give an Encoder")
    old = model.config
    widths = _widths(old, keep, multiple)
    blocks = _blocks(model, old.depths if depths is None else tuple(depths))
    layers = [2 * block + part for block in blocks for part in (0, 1)]
    heads = range(old.trunk_layers, len(old.layers()))
    config = replace(
        old,
        widths=widths,
        depths=old.depths if depths is None else tuple(depths),
        levels=_chosen(old.levels, [*layers, *heads]),
        bits=_chosen(old.bits, [*layers, *range(old.trunk_layers, len(old.bits))]),
    )
    smaller = Encoder(config)
    kept = torch.arange(old.input_shape[0])
    for number, layer in enumerate(layers):
        weight: Tensor = model.trunk[layer].conv.weight.detach()
        outputs = _largest(weight, config.layers()[number].outputs, old.groups)
        _copy(model.trunk[layer], smaller.trunk[number], kept, outputs, old.layers()[layer].groups)
        kept = outputs
    parts = [(model.classifier, smaller.classifier)]
    parts += zip(model.code or (), smaller.code or (), strict=True)
    for place, (head, its) in enumerate(parts):
        inputs = torch.arange(head.conv.weight.shape[1]) if place and old.measured else kept
        _copy(head, its, inputs, torch.arange(len(head.conv.weight)), 1)
    return smaller


def _widths(config: EncoderConfig, keep: Sequence[float], multiple: int) -> tuple[int, ...]:
    shares = isinstance(keep, Sequence) and all(is_number(share) and 0 < share <= 1 for share in keep)
    if not shares or len(keep) != len(config.widths):
        raise MuxflowError(f"pruning: keep {shown(keep)}; give a share above 0, at most 1, for each of the four stages")
    if not is_whole(multiple) or multiple < 1 or multiple % config.groups:
        raise MuxflowError(
            f"pruning: multiples of {shown(multiple)} channels; give a multiple of the {config.groups} groups"
        )
    widths = tuple(
        int(share * width + 1e-9) // multiple * multiple for share, width in zip(keep, config.widths, strict=True)
    )
    for stage, (left, width) in enumerate(zip(widths, config.widths, strict=True)):
        if not left:
            raise MuxflowError(
                f"pruning: {keep[stage]:g} of the {width} channels of stage {stage}, in multiples of {multiple}, leaves its "
                "layers empty; keep more, or use a smaller multiple"
            )
    return widths


def _blocks(model: Encoder, depths: tuple[int, ...]) -> list[int]:
    """Choose the blocks that stay, by their number in the trunk: the first of each stage, and those of large weights."""
    old = model.config.depths
    if len(depths) != len(old) or not all(
        is_whole(left) and left <= had for left, had in zip(depths, old, strict=True)
    ):
        raise MuxflowError(f"pruning: depths {shown(depths)}; give one for each stage, at most {old}")
    if min(depths) < 1:
        stage = depths.index(min(depths))
        raise MuxflowError(f"pruning: {depths[stage]} blocks would leave stage {stage} empty; keep one at least")

    def size(block: int) -> float:
        pair = (model.trunk[2 * block + part].conv.weight for part in (0, 1))
        return sum(float(weight.detach().abs().mean()) for weight in pair)

    chosen: list[int] = []
    for first, had, left in zip((0, *accumulate(old)), old, depths, strict=False):
        others = sorted(range(first + 1, first + had), key=size, reverse=True)
        chosen += [first, *sorted(others[: left - 1])]
    return chosen


def _chosen(given: tuple[int, ...], layers: Sequence[int]) -> tuple[int, ...]:
    return given if len(given) == 1 else tuple(given[layer] for layer in layers)


def _largest(weight: Tensor, count: int, groups: int) -> Tensor:
    """Choose the filters of the largest mean size, equally many of each group, in order; shape (count,)."""
    sizes = weight.abs().mean(dim=(1, 2, 3)).view(groups, -1)
    best = sizes.topk(count // groups, dim=1).indices.sort(dim=1).values
    return (best + torch.arange(groups)[:, None] * sizes.shape[1]).flatten()


def _copy(old: torch.nn.Module, new: torch.nn.Module, inputs: Tensor, outputs: Tensor, groups: int) -> None:
    """Copy the chosen channels of a layer: convolution of these inputs, norm."""
    weight = old.conv.weight.detach()
    size = weight.shape[1]  # input channels of a group
    with torch.no_grad():
        for row, output in enumerate(outputs):
            group = int(output) * groups // len(weight)
            here = inputs[(inputs >= group * size) & (inputs < (group + 1) * size)] - group * size
            new.conv.weight[row] = weight[output, here]
    state = old.norm.state_dict()
    new.norm.load_state_dict({name: value[outputs] if value.dim() else value for name, value in state.items()})
    new.conv.weight_quant.init_tensor_quant()
    new.conv.weight_quant.tensor_quant.step.copy_(old.conv.weight_quant.tensor_quant.step)
