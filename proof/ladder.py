"""The proof ladder of a project: who was compared with the integer graph, on which images; kept beside the sources."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.graph.graph import Codes, Graph
from muxflow.proof.compare import Outcome
from muxflow.reports.report import Accuracy, Rung

PROOF_FILE = "proof.json"


@dataclass(frozen=True)
class Ladder:
    """The rungs from the trained network down, and how many answers were right where there were labels."""

    rungs: tuple[Rung, ...] = ()
    accuracy: Accuracy | None = None


def rung(outcome: Outcome, remark: str = "") -> Rung:
    """Return the rung of an execution that agreed with the graph; `remark` follows what was compared."""
    detail = f"{outcome.tensors} tensors, {outcome.codes:,} codes"
    return Rung(outcome.title, "equal", outcome.images, f"{detail}, {remark}" if remark else detail)


def predictions(graph: Graph, outputs: Codes) -> npt.NDArray[np.int64]:
    """Return the predicted classes, shape (N,), from output codes: of the first output, where there are several.

    That is the read-out's largest logit, or what an arg-max or top-k node answers first.
    """
    values = graph.read_out(outputs)
    first = values[0] if isinstance(values, tuple) else values
    flat = first.reshape(len(first), -1)
    return np.asarray(flat.argmax(axis=1) if graph.outputs[0] in graph.readouts else flat[:, 0], np.int64)


def keep_ladder(folder: Path, digest: str, ladder: Ladder) -> None:
    """Write the ladder of a project whose sources have that digest."""
    entry = {"digest": digest, **asdict(ladder)}
    write_atomically(folder / PROOF_FILE, (json.dumps(entry, indent=2, sort_keys=True) + "\n").encode())


def kept_ladder(folder: Path, digest: str) -> Ladder:
    """Return what `keep_ladder` wrote; an empty ladder where there is none or the sources have changed since.

    Raises MuxflowError naming a file that is not a ladder.
    """
    file = folder / PROOF_FILE
    if not file.exists():
        return Ladder()
    try:
        entry = json.loads(file.read_text())
        if entry["digest"] != digest:
            return Ladder()
        accuracy = None if entry["accuracy"] is None else Accuracy(**entry["accuracy"])
        return Ladder(tuple(Rung(**row) for row in entry["rungs"]), accuracy)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise MuxflowError(f"{file}: not a proof of Muxflow ({error!r}); run `muxflow csim` again") from error
