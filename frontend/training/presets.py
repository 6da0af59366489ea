"""Every ready-made network by name, untrained: for estimates, sweeps and benchmarks."""

from __future__ import annotations

from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo, zoo_bnn


def names() -> tuple[str, ...]:
    """All presets: the MOGNETs and the binary-network classics."""
    return tuple(sorted({**zoo.PRESETS, **zoo_bnn.PRESETS}))


def export_untrained(name: str, path: Path, seed: int = 0) -> Path:
    """Writes preset `name` with random weights and plausible batch statistics as a QONNX file; returns its path.

    Same seed, same bytes. Raises MuxflowError naming the presets when it is unknown.
    """
    if name in zoo.PRESETS:
        model = zoo.randomise(zoo.build(name, seed), seed)
        return export(model, path, (1, *model.config.input_shape))
    if name in zoo_bnn.PRESETS:
        classic = zoo_bnn.randomise(zoo_bnn.build(name, seed), seed)
        return export(classic, path, (1, *classic.config.input_shape))
    raise MuxflowError(f"preset {name!r} is unknown; choose from {', '.join(names())}")
