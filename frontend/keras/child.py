"""What the child processes of both generations of Keras do alike: describe files, and predict for the proof.

Each answer is one line of JSON on the standard output: {"error": null} or a message.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.dataflow.errors import MachineFault, MuxflowError, UnsupportedError
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.dataflow.text import printable, reason
from muxflow.frontend.faults import MEMORY_REMEDY, is_of_memory, machine_fault, raise_machine_fault
from muxflow.frontend.keras.architecture import check_architecture
from muxflow.frontend.keras.layers import Shape
from muxflow.frontend.keras.model_file import read_arrays, write_model_file
from muxflow.frontend.keras.writer import Writer, to_channel_last
from muxflow.frontend.model import Model

Values = np.ndarray[Any, Any]

HOST_FUNCTIONS = ("softmax", "sigmoid", "tanh")
"""Keras' functions that are left to the host at the end of a model; the proof compares what they read."""

MOST_MEMORY = 4 * MOST_BYTES
"""Bytes that a process may take to build and describe models."""


@dataclass(frozen=True, eq=False)
class Description:
    """The neutral description of a model, and Keras' own tensor for each of its named ones."""

    model: Model
    tensors: dict[str, Any]


def read_file(path: Path, read: Callable[[str], Any], known: Callable[[], frozenset[str]], advice: str) -> Any:
    """Return what Keras' reader makes of a file, whose classes must be in `known` (see `architecture`).

    Raises MuxflowError with the reader's reason and the advice.
    """
    try:
        check_architecture(path, known)
        return read(str(path))
    except MuxflowError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"model {path}: {error}") from error  # of a layer of Muxflow's, which knows no file
    except Exception as error:  # Keras raises whatever its readers meet first
        raise_machine_fault(error, f"model {path}")
        # Keras may advise to switch its own checks off.
        said = " ".join(
            part for part in re.split(r"(?<=[.!]) ", reason(error)) if "unsafe" not in part and "safe_mode" not in part
        )
        raise MuxflowError(f"model {path}: Keras cannot read it ({said}); {advice}") from error


def channel_first(shape: Shape) -> Shape:
    """Return a shape without its batch, in the importer's order."""
    shape = shape[1:]
    return (shape[-1], *shape[:-1]) if len(shape) > 1 else shape


def check_input(name: str, dtype: str) -> None:
    """Raise UnsupportedError for an input of other numbers than float32."""
    if dtype != "float32":
        raise UnsupportedError(
            f"{name} (InputLayer): numbers of type {dtype}; supported is float32, so leave dtype out"
        )


def written_outputs(writer: Writer, names: list[str], ranks: list[int]) -> list[str]:
    """Write the model's outputs in Keras' channel-last order."""
    writer.layer, writer.kind = "output", ""
    return [
        writer.transposed(name, to_channel_last(rank)) if rank > 2 else name
        for name, rank in zip(names, ranks, strict=True)
    ]


def limit_memory() -> bool:
    """Let this process take MOST_MEMORY bytes more than now: a line of a file can ask Keras for weights of any size.

    Tells whether that is what limits it now: a user's own limit may be lower, or the machine's memory less.
    """
    import resource  # which other systems than Unix have not

    size = resource.getpagesize()
    most = int(Path("/proc/self/statm").read_text().split()[0]) * size + MOST_MEMORY
    own, hard = resource.getrlimit(resource.RLIMIT_AS)
    if any(limit != resource.RLIM_INFINITY and limit < most for limit in (own, hard)):
        return False
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    return os.sysconf("SC_PHYS_PAGES") * size >= MOST_MEMORY


def describe_files(arguments: list[str], describe: Callable[[Path], Model]) -> None:
    """Describe each of `MODEL OUTPUT ...`; what fails with one, whatever it is, does not stop the others.

    An answer with an error says whether the model is `supported`, and whether the `machine` is at fault.
    """
    limited = limit_memory() if sys.platform == "linux" else False
    for model, output in zip(arguments[::2], arguments[1::2], strict=True):
        answer: dict[str, Any] = {"error": None}
        try:
            write_model_file(describe(Path(model)), Path(output))
        except Exception as error:  # Keras reads some models that it then cannot lay out
            answer = _refusal(f"model {model}", error, limited)
        print(json.dumps(answer), flush=True)


def _refusal(what: str, error: Exception, limited: bool) -> dict[str, Any]:
    """Make the answer of a model that is not described; `limited`: the memory is, by MOST_MEMORY."""
    fault = machine_fault(error, what)
    if fault is not None:
        said, own = str(fault).removeprefix(f"{what}: "), limited and is_of_memory(error)
        if own:
            most = f"at most {MOST_MEMORY:,} bytes (MOST_MEMORY) are supported, so it is no model for a device"
            said = f"{said.removesuffix(MEMORY_REMEDY)}{most}"
        return {"error": f"{what}: {said}", "supported": True, "machine": not own}
    if isinstance(error, MuxflowError):
        return {"error": str(error), "supported": not isinstance(error, UnsupportedError)}
    said = f"{what}: it cannot be described ({reason(error)}); save it again with model.save"
    return {"error": printable(said), "supported": True}


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model whose inner tensors can be asked for by the names that its description gives them.

    `inputs`, `outputs`: Keras' own tensors, in the model's order; `tensors`: the inner ones by name; `model_of`: the Keras
    model that gives some of them for all the inputs.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    tensors: Mapping[str, Any]
    model_of: Callable[[list[Any]], Any]
    models: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def run(self, names: list[str], batch: Sequence[Values]) -> list[Values]:
        """Compute the model's outputs for a batch of each input, then the named tensors, channels last.

        The outputs are computed on their own, as whoever uses the model computes them. Raises MuxflowError for a batch of
        other inputs, and naming the tensors that the model has not.
        """
        if len(batch) != len(self.inputs):
            raise MuxflowError(
                f"the model has {len(self.inputs)} inputs, the graph {len(batch)}: it was not imported from it"
            )
        unknown = [name for name in names if name not in self.tensors]
        if unknown:
            raise MuxflowError(f"the model has no tensor {', '.join(unknown)}: the graph was not imported from it")
        shaped = [given.reshape(-1, *own.shape[1:]) for given, own in zip(batch, self.inputs, strict=True)]
        found = self._predicted((), self.outputs, shaped)
        return found + (self._predicted(tuple(names), [self.tensors[name] for name in names], shaped) if names else [])

    def _predicted(self, key: tuple[str, ...], tensors: Sequence[Any], batch: list[Values]) -> list[Values]:
        if key not in self.models:
            self.models[key] = self.model_of(list(tensors))
        values = self.models[key].predict(batch, batch_size=len(batch[0]), verbose=0)
        return values if isinstance(values, list) else [values]


def predict(arguments: list[str], load: Callable[[Path], Predictor]) -> None:
    """Answer for `MODEL FOLDER` until the standard input ends.

    Each line there is a JSON list of tensor names; `inputs.npz` in the folder holds a batch of each input, channels last.
    `outputs.npz` there then holds what Keras' predict gives: the model's outputs (of a function at the end that the
    host computes what it reads), then the named tensors. An answer with an error says whether the model `ran`, and
    whether the `machine` is at fault.
    """
    path, folder = Path(arguments[0]), Path(arguments[1])
    predictor: Predictor | None = None
    for question in sys.stdin:
        answer: dict[str, Any] = {"error": None}
        try:
            predictor = predictor or load(path)
            batch = read_arrays(folder / "inputs.npz")
            np.savez(folder / "outputs.npz", *predictor.run(json.loads(question), batch))
        except MuxflowError as error:
            answer = {"error": str(error), "ran": True, "machine": isinstance(error, MachineFault)}
        except Exception as error:  # Keras builds some layers that its backend then does not compute
            fault = machine_fault(error, f"model {path}")
            said = printable(reason(error)) if fault is None else str(fault)
            answer = {"error": said, "ran": False, "machine": fault is not None}
        print(json.dumps(answer), flush=True)
