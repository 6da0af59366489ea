"""Keras models in, `Model` out: Keras 2 with QKeras and Keras 3 with HGQ2.

Keras runs in a process of its own (`v2/export.py`, `v3/export.py`), which writes the description: each quantizer in it is
the list of float32 numbers at which the quantizer itself jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import MachineFault, MuxflowError, UnsupportedError
from muxflow.dataflow.files import check_file
from muxflow.dataflow.folders import scratch_folder
from muxflow.frontend.keras.model_file import read_model_file
from muxflow.frontend.keras.process import Generation, check_readable, generation_of, keras_child, well_named
from muxflow.frontend.model import Model, model_name
from muxflow.frontend.registry import supported


def describe_models(paths: Sequence[Path]) -> list[Model | MuxflowError]:
    """Describe Keras models, all of one generation of Keras from one start of it (some seconds).

    A file that cannot be read gives its error in the list. Raises ToolError when what the generation needs is not
    installed or the child ends without an answer, MuxflowError naming the first file that is absent.
    """
    for path in paths:
        check_file(path, f"supported are {supported()}", "model")
    found: dict[Path, Model | MuxflowError] = {}
    readable: dict[Generation, list[Path]] = {}
    for path in dict.fromkeys(paths):
        try:
            generation = generation_of(path)
            check_readable(path)
            readable.setdefault(generation, []).append(path)
        except MuxflowError as error:
            found[path] = error
    for generation, own in readable.items():
        found |= zip(own, _describe(own, generation), strict=True)
    return [found[path] for path in paths]


def read_keras(path: Path) -> Model:
    """Read a model file of Keras 2 (QKeras) or Keras 3 (HGQ2).

    Raises MuxflowError for a file that Keras cannot read, UnsupportedError for one of another Keras, ToolError when the
    extra `qkeras`, or for Keras 3 HGQ2 in its folder, is not installed.
    """
    (found,) = describe_models([path])
    if isinstance(found, MuxflowError):
        raise found
    return found


def _describe(paths: Sequence[Path], generation: Generation) -> list[Model | MuxflowError]:
    with scratch_folder() as folder:
        outputs = [folder / f"{index}.npz" for index in range(len(paths))]
        models = [well_named(path, folder) for path in paths]
        pairs = [str(part.resolve()) for pair in zip(models, outputs, strict=True) for part in pair]
        with keras_child(f"keras.v{generation}.export", pairs, "Keras models", generation) as child:
            answers = [child.answer(f"model {path}") for path in paths]
        return [_described(*parts) for parts in zip(paths, models, outputs, answers, strict=True)]


def _described(path: Path, copy: Path, output: Path, answer: dict[str, Any]) -> Model | MuxflowError:
    """Read what the child answered of a model, which it read from a copy where Keras does not take the file's own name."""
    if answer["error"] is None:
        return replace(read_model_file(output), name=model_name(path))
    message = str(answer["error"]).replace(str(copy.resolve()), str(path.resolve()))
    if answer.get("machine"):
        return MachineFault(message)
    return (MuxflowError if answer["supported"] else UnsupportedError)(message)
