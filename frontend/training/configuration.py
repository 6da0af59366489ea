"""What all families of ready-made networks share: presets with overrides, seeded weights, settings as JSON holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import nn

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.text import unknown

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


def configured(presets: Mapping[str, Config], name: str, overrides: Mapping[str, Any]) -> Config:
    """Return the configuration called `name`, with fields replaced by `overrides`.

    Raises UsageError naming the presets, or the fields, when one is unknown.
    """
    if name not in presets:
        raise UsageError(unknown("preset", name, sorted(presets)))
    config: Any = presets[name]
    known = {field.name for field in fields(config)}
    strange = sorted(set(overrides) - known)
    if strange:
        raise UsageError(f"preset {name}: no option {', '.join(strange)}; options are {', '.join(sorted(known))}")
    changed: Config = replace(config, **overrides)
    return changed


def from_settings(kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """Make a configuration of what `dataclasses.asdict` wrote as JSON, where tuples are lists."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})


def seeded(network: Callable[[Config], Network], config: Config, seed: int) -> Network:
    """Build an untrained network, weights drawn from `seed`; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(config)


def randomise(model: Network, seed: int = 0, batches: int = 4) -> Network:
    """Give an untrained network plausible batch statistics, in place, and return it in evaluation mode.

    Runs `batches` batches of 16 uniformly random images (of `model.config.input_shape`, pixels p/256) in training mode, so
    that activations are neither all zero nor all saturated: for benchmarks and tests with random weights. Same seed, same
    statistics.
    Source: decision.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    model.train()
    with torch.no_grad():
        for _ in range(batches):
            model(torch.randint(0, 256, (16, *model.config.input_shape), generator=generator) / 256)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return model
