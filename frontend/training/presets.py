"""Every ready-made network by name, untrained: for estimates, sweeps and benchmarks."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from muxflow.dataflow.errors import UsageError
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo, zoo_bnn, zoo_radio

ZOOS: tuple[ModuleType, ...] = (zoo, zoo_bnn, zoo_radio)
"""Each with PRESETS, `build(name, seed)` and `randomise(model, seed)`."""


def names() -> tuple[str, ...]:
    """List all presets: the MOGNETs, the binary-network classics and the radio networks."""
    return tuple(sorted(name for family in ZOOS for name in family.PRESETS))


def export_untrained(name: str, path: Path, seed: int = 0) -> Path:
    """Write preset `name` with random weights and plausible batch statistics as a QONNX file; returns its path.

    Same seed, same bytes. Raises MuxflowError naming the presets when it is unknown.
    """
    for family in ZOOS:
        if name in family.PRESETS:
            model = family.randomise(family.build(name, seed), seed)
            return export(model, path, (1, *model.config.input_shape))
    raise UsageError(f"preset {name!r} is unknown; choose from {', '.join(names())}")
