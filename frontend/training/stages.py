"""Training in stages that go on where they were interrupted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.text import LONGEST_REASON, reason
from muxflow.frontend.training.state_file import read_state, write_state

WARMUP = 0.02
"""Share of a stage's steps in which its rate rises."""
EVERY = 500
"""Steps between two checkpoints."""
PART = re.compile("[,;] (?=[a-z]+=)|; ")
"""Between two parts of a recipe, of which a message names those that differ."""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Stage:
    """Steps of Adam on some modules.

    `rate`: the peak rate, after which it falls as half a cosine; `factors`: on the rate, one a module, 1 where none are given;
    `loss(generator, progress)`: the loss of a step, whose
    random draws all come from the generator, `progress` from 0 to 1; `begin`: called once, before
    the first step, `after`: after each one. What a loss needs besides the model's state, as frozen parts, it sets itself.
    """

    name: str
    steps: int
    rate: float
    modules: tuple[nn.Module, ...]
    loss: Callable[[torch.Generator, float], Tensor]
    begin: Callable[[], object] = nothing
    after: Callable[[], object] = nothing
    factors: tuple[float, ...] = ()

    def optimizer(self) -> torch.optim.Adam:
        """Make Adam on the modules' parameters, in groups with their `factor`."""
        factors = self.factors or (1.0,) * len(self.modules)
        groups = [
            {"params": list(module.parameters()), "factor": factor}
            for module, factor in zip(self.modules, factors, strict=True)
        ]
        return torch.optim.Adam(groups, betas=(0.9, 0.99))

    def rate_at(self, progress: float) -> float:
        """Return the rate at a progress from 0 to 1."""
        return self.rate * min(1.0, (progress + 1e-4) / WARMUP) * 0.5 * (1 + math.cos(math.pi * progress))


def run_stages(
    model: nn.Module,
    stages: Sequence[Stage],
    checkpoint: Path,
    recipe: str,
    seed: int,
    *,
    resume: bool = True,
    told: Callable[[str, int, int, float], None] | None = None,
) -> None:
    """Run stages one after the other; `model` holds all that they change.

    Goes on from the file `checkpoint`, which is written every EVERY steps, and ends with the same weights as a run that was
    never interrupted (same machine, one thread). `told(name, step, steps, loss)` is called after each step.
    Raises MuxflowError when the checkpoint belongs to another recipe or is unreadable, or a loss is not finite.
    """
    state = read_checkpoint(checkpoint, recipe) if resume and checkpoint.is_file() else None
    first, start = (0, 0) if state is None else _restore(checkpoint, state, model, stages)
    for place, stage in enumerate(stages[first:], first):
        begun = state is not None and place == first
        if not begun or start == 0:
            stage.begin()
        optimizer = stage.optimizer()
        if begun and state is not None:
            restore_optimizer(checkpoint, state, optimizer)
        for step in range(start if begun else 0, stage.steps):
            generator = torch.Generator().manual_seed((seed * 101 + place) * 1_000_003 + step)
            progress = step / stage.steps
            loss = stage.loss(generator, progress)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise MuxflowError(f"training: the loss is {value} at step {step + 1} of {stage.name}; lower its rate")
            for group in optimizer.param_groups:
                group["lr"] = group["factor"] * stage.rate_at(progress)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            stage.after()
            if told is not None:
                told(stage.name, step + 1, stage.steps, value)
            if (step + 1) % EVERY == 0:
                met = {"stage": place, "step": step + 1, "model": model.state_dict()}
                write_state(checkpoint, {"recipe": recipe, **met, "optimizer": optimizer.state_dict()})


def unreadable(path: Path, error: BaseException) -> MuxflowError:
    """Make the error of a checkpoint that cannot be used."""
    return MuxflowError(
        f"checkpoint {path} is unreadable ({reason(error)}); delete it, or use --no-resume (resume=False)"
    )


def read_checkpoint(path: Path, recipe: str) -> dict[str, Any]:
    """Read a checkpoint; raises MuxflowError when it belongs to another recipe or is unreadable."""
    try:
        state = read_state(path)
        found = state["recipe"]
        if not isinstance(found, str):
            raise ValueError("its recipe is no text")
    except Exception as error:  # a damaged file raises nearly anything
        raise unreadable(path, error) from error
    if found != recipe:
        has, wants = (PART.split(one) for one in (found, recipe))
        other, this = ([one for one in a if one not in b] for a, b in ((has, wants), (wants, has)))
        raise MuxflowError(
            f"checkpoint {path} belongs to another run: it has {', '.join(other)[:LONGEST_REASON]}; this run "
            f"{', '.join(this)[:LONGEST_REASON]}; use another output folder, or --no-resume (resume=False) to begin anew"
        )
    return state


def _restore(path: Path, state: Mapping[str, Any], model: nn.Module, stages: Sequence[Stage]) -> tuple[int, int]:
    """Load a checkpoint into a model; returns the stage and the number of its finished steps."""
    try:
        model.load_state_dict(state["model"])
        place, step = int(state["stage"]), int(state["step"])
        if not (0 <= place < len(stages) and 0 < step <= stages[place].steps):
            raise ValueError(f"step {step} of stage {place}")
        return place, step
    except Exception as error:  # a damaged file raises nearly anything
        raise unreadable(path, error) from error


def restore_optimizer(path: Path, state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Load a checkpoint into the optimizer of what it goes on with; raises MuxflowError where it does not fit."""
    try:
        optimizer.load_state_dict(state["optimizer"])
        for parameter, met in optimizer.state.items():
            if any(isinstance(one, Tensor) and one.dim() and one.shape != parameter.shape for one in met.values()):
                raise ValueError(f"averages of another shape than {tuple(parameter.shape)}")
    except Exception as error:  # a damaged file raises nearly anything
        raise unreadable(path, error) from error
