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
from muxflow.dataflow.text import LONGEST_REASON, reason, shown
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training.state_file import check_finite, check_plain, fill, read_state, write_state

WARMUP = 0.02
"""Share of a stage's steps in which its rate rises."""
EVERY = 500
"""Steps between two checkpoints."""
AVERAGES = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps of a parameter."""
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
            restore_optimizer(checkpoint, state, optimizer, start)
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
        raise_machine_fault(error, f"checkpoint {path}")
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
    place = count_of(path, state, "stage", 0, len(stages) - 1)
    step = count_of(path, state, "step", 1, stages[place].steps)
    restore_model(path, state, model)
    return place, step


def count_of(path: Path, state: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a whole number of a checkpoint; raises MuxflowError where it is none, or out of its range."""
    found = state.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise unreadable(path, ValueError(f"{name} {shown(found)}; expected a whole number from {least} to {most}"))
    return found


def restore_model(path: Path, state: Mapping[str, Any], model: nn.Module) -> None:
    """Load a checkpoint into a model; raises MuxflowError where it does not fit."""
    try:
        fill(model, state["model"])
    except Exception as error:  # a damaged file raises nearly anything
        raise_machine_fault(error, f"checkpoint {path}")
        raise unreadable(path, error) from error


def restore_optimizer(path: Path, state: Mapping[str, Any], optimizer: torch.optim.Adam, steps: int) -> None:
    """Load averages and step counts of a checkpoint into the Adam of what it goes on with, made `steps` steps ago.

    Its groups keep their own rates, factors and other settings, which are the recipe's whatever the file says. Raises
    MuxflowError where the averages do not fit the parameters, or a count is not from 1 to `steps`.
    """
    try:
        own, given = optimizer.state_dict(), dict(state["optimizer"]["state"])
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        for place, met in given.items():
            if place not in range(len(parameters)) or met.keys() != AVERAGES:
                raise ValueError(f"averages of parameter {shown(place)}; expected {', '.join(sorted(AVERAGES))}")
            _check_averages(parameters[place], met, steps)
        optimizer.load_state_dict({**own, "state": given})
    except Exception as error:  # a damaged file raises nearly anything
        raise_machine_fault(error, f"checkpoint {path}")
        raise unreadable(path, error) from error


def _check_averages(parameter: Tensor, met: Mapping[str, Any], steps: int) -> None:
    """Raise ValueError where the state of Adam is none of a parameter after at most so many steps."""
    for name, tensor in met.items():
        check_plain(name, tensor)
        shape, kind = (torch.Size(), torch.float32) if name == "step" else (parameter.shape, parameter.dtype)
        if tensor.shape != shape or tensor.dtype != kind:
            raise ValueError(f"averages of another shape or type than {tuple(parameter.shape)}, {parameter.dtype}")
        check_finite(name, tensor)
    if not 1 <= met["step"] <= steps or met["step"] % 1:
        raise ValueError(f"{float(met['step']):g} steps of the optimizer; expected a whole number from 1 to {steps}")
    if (met["exp_avg_sq"] < 0).any():
        raise ValueError("an average of squares below 0")
