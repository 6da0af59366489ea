"""Every ready-made network by name, untrained: for estimates, sweeps and benchmarks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.text import unknown
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import (
    zoo,
    zoo_billnet,
    zoo_bnn,
    zoo_encoder,
    zoo_ern,
    zoo_mobilenet,
    zoo_radio,
    zoo_residual,
)

ZOOS: tuple[ModuleType, ...] = (
    zoo,
    zoo_billnet,
    zoo_bnn,
    zoo_encoder,
    zoo_ern,
    zoo_mobilenet,
    zoo_radio,
    zoo_residual,
)
"""Each with PRESETS, `build(name, seed)` and `randomise(model, seed)`."""


def names() -> tuple[str, ...]:
    """List all presets: MOGNETs, BILLNETs, binary classics, encoders, ERNs, MobileNets, gated residual and radio networks."""
    return tuple(sorted(name for module in ZOOS for name in module.PRESETS))


def family(name: str) -> ModuleType:
    """Find the zoo that preset `name` is of; raises UsageError naming the presets when it is unknown."""
    for module in ZOOS:
        if name in module.PRESETS:
            return module
    raise UsageError(unknown("preset", name, names()))


def export_untrained(name: str, path: Path, seed: int = 0) -> Path:
    """Write preset `name` with random weights and plausible batch statistics as a QONNX file; returns its path.

    Same seed, same bytes. Raises UsageError naming the presets when it is unknown.
    """
    zoo_of = family(name)
    model = zoo_of.randomise(zoo_of.build(name, seed), seed)
    return export(model, path, (1, *model.config.input_shape))
