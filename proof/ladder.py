"""The proof ladder of a project: who was compared with the integer graph, on which images; kept beside the sources."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MismatchError, MuxflowError
from muxflow.dataflow.files import naming, read_json
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.manifest import PROOF_FILE
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.outputs import write_below
from muxflow.dataflow.quantities import count, counted
from muxflow.dataflow.text import json_text, reason
from muxflow.proof.compare import Outcome
from muxflow.proof.execution import Execution
from muxflow.reports.schema.stages import Accuracy, Rung

EQUAL_BUT_TIES = "equal but for ties"
CANNOT_RUN = "cannot run it"
"""What the message of every ExecutionError holds."""


@dataclass(frozen=True)
class Ladder:
    """The rungs from the trained network down, and how many answers were right where there were labels.

    `options`: those of the command line that climbed it; None where Python did.
    """

    rungs: tuple[Rung, ...] = ()
    accuracy: Accuracy | None = None
    options: tuple[str, ...] | None = None


def rung(outcome: Outcome, remark: str = "") -> Rung:
    """Return the rung of an execution that agreed with the graph, or could not run; `remark` follows what was compared."""
    if outcome.failed:
        return Rung(outcome.title, "not run", 0, outcome.failed)
    if outcome.ties is not None:
        remark = (
            f"{count(outcome.ties.inside)} of them in {counted(outcome.ties.images, 'image')} differ at near ties, where float "
            f"rounding decides; first {outcome.ties.first_inside}"
        )
    detail = f"{counted(len(outcome.streams), 'tensor')}, {counted(outcome.codes, 'code')}"
    return Rung(
        outcome.title,
        "equal" if outcome.ties is None else EQUAL_BUT_TIES,
        outcome.images,
        f"{detail}, {remark}" if remark else detail,
    )


def is_warning(rung: Rung) -> bool:
    """Tell whether a rung says of a model that it differs at near ties, or that its library cannot run it."""
    return rung.status == EQUAL_BUT_TIES or CANNOT_RUN in rung.detail


def stale(rung: Rung) -> Rung:
    """Mark what was found of sources that have changed since."""
    return replace(rung, status="stale", detail="the sources have changed since: `muxflow csim` runs it again")


def differs(executions: Sequence[Execution], error: MismatchError) -> Ladder:
    """Return the ladder of a comparison that found a difference: who differs and where; of the others nothing is known."""
    return Ladder(
        tuple(
            Rung(one.title, "differs", 0, str(error))
            if one.name == error.execution
            else Rung(one.title, "not run", 0, "another execution differs")
            for one in executions
        )
    )


def predictions(graph: Graph, name: str, codes: IntArray) -> npt.NDArray[np.int64]:
    """Return the predicted classes, shape (N,), from the codes of the output of that name.

    That is the read-out's largest logit, or what an arg-max or top-k node answers first.
    """
    if name not in graph.readouts:
        return np.asarray(codes.reshape(len(codes), -1)[:, 0])
    logits = graph.readouts[name](codes)
    return np.asarray(logits.reshape(len(logits), -1).argmax(axis=1), np.int64)


def keep_ladder(folder: Path, digest: str, model: str, ladder: Ladder) -> None:
    """Write the ladder of a project; `digest`, `model`: of its sources and of its model file before they were run."""
    entry = {"digest": digest, "model": model, **asdict(ladder)}
    write_below(folder, {PROOF_FILE: json_text(entry).encode()})


def model_files(folder: Path) -> list[Path]:
    """List the copies of the model that a project keeps: one, or none."""
    return [file for file in sorted(folder.glob("model.*")) if file.is_file()]


def model_digest(folder: Path) -> str:
    """Hash the model that a project keeps a copy of; "" where it keeps none."""
    files, digest = model_files(folder), hashlib.sha256()
    for file in files:
        with naming(file):
            digest.update(file.read_bytes())
    return digest.hexdigest() if files else ""


def kept_ladder(folder: Path, digest: str) -> Ladder:
    """Return what `keep_ladder` wrote, an empty ladder where it wrote none.

    Where the sources or the model file have changed since, what was run is stale, and the accuracy is nobody's.
    Raises MuxflowError naming a file that is not a ladder.
    """
    file = folder / PROOF_FILE
    if not file.exists():
        return Ladder()
    try:
        entry = read_json(file)
        told = {"rungs": entry["rungs"], "accuracy": entry["accuracy"], "options": entry.get("options")}
        kept = from_json(Ladder, told)
        if (entry["digest"], entry.get("model", "")) != (digest, model_digest(folder)):
            return Ladder(tuple(one if one.status == "not run" else stale(one) for one in kept.rungs))
        return kept
    except (OSError, ValueError, KeyError, TypeError, MuxflowError) as error:
        raise MuxflowError(f"{file}: not a proof of Muxflow ({reason(error)}); run `muxflow csim` again") from error
