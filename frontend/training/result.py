"""The result of a training run, and where the networks are that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.outputs import OutputFolder
from muxflow.dataflow.text import in_one_line
from muxflow.frontend.faults import raise_machine_fault

MOST_EPOCHS, MOST_SEED = 10**6, 2**32 - 1
"""What a training may ask for: a decision, and what the random generators take."""

PRETRAINED = Path(__file__).parent / "pretrained"
"""The trained networks that ship with Muxflow, as `train_preset` and `train_keras` wrote them."""


@dataclass(frozen=True)
class TrainResult:
    """What a training run leaves: the model file, its json, the accuracy on the named split, and the wall time.

    `decoder`: the file of the decoder of compressed pictures, None where none was trained; `psnr`: what it comes to on each of
    the photographs of the split, in dB.
    """

    model: Path
    report: Path
    dataset: str
    split: str
    images: int
    accuracy: float
    epochs: int
    seed: int
    seconds: float
    decoder: Path | None = None
    psnr: Mapping[str, float] = field(default_factory=dict)


def shipped() -> tuple[str, ...]:
    """List the names of the networks that ship with their Brevitas weights."""
    return tuple(sorted(path.stem for path in PRETRAINED.glob("*.pt")))


def check_run(
    place: OutputFolder, report: str, model: str, command: str, remedy: str = "replace it with --force"
) -> None:
    """Raise MuxflowError where a model in a folder is of another training than `command`, which its report says.

    `report`, `model`: the names of the files there; `remedy`: how it is replaced. Raises MachineFault where the machine does
    not give the report.
    """
    if place.force or not any((place.path / name).exists() for name in (report, model)):
        return
    try:
        found = read_json(place.path / report)["command"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise_machine_fault(error, str(place.path / report))
        found = None
    if found != command:
        of = f"another training, {in_one_line(found)}" if isinstance(found, str) else "a training that cannot be told"
        raise MuxflowError(f"{place.path / model} is of {of}; choose another folder with --output, or {remedy}")
