"""The command `muxflow weights`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import muxflow
from muxflow.board.driver.weights import MAGIC
from muxflow.cli.console import Json, ModelArgument, answer, next_command, out, tasks
from muxflow.cli.input_options import InputKeywords, with_input_options
from muxflow.cli.opening import opened_project
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import naming
from muxflow.dataflow.folders import check_writable
from muxflow.dataflow.quantities import counted


@with_input_options
def weights(
    model: ModelArgument,
    inputs: InputKeywords,
    project: Annotated[
        Path, typer.Option("--project", "-p", help="The project that takes them, built with --weights loaded.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Weight file; MODEL.weights beside the model when absent.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the weights of a model of the same topology as a project into a file that the project loads at run time."""
    opened = opened_project(project)
    path = output or model.with_suffix(".weights")
    check_writable(path, model, project)
    _check_kind(path)
    with tasks(as_json) as begin:
        done = begin(f"import {model}", 1)
        stateful = opened.hls.design.graph.carries
        graph = muxflow.load(model, loaded=opened.hls.options.loaded, stateful=stateful, **inputs)
        done(1, 1)
        opened.write_weights(graph, path)
    memories = opened.hls.memories
    assert memories is not None
    entry = {"file": str(path), "words": memories.words, **memories.entry()}

    def show() -> None:
        held = counted(len(memories.nodes), "memory", "memories")
        out.print(f"{os.path.relpath(path)}: {held}, {counted(memories.words, 'word')} of 64 bits")
        next_command("csim", os.path.relpath(project), "--weights", os.path.relpath(path))

    answer(entry, as_json, show, path)


def _check_kind(path: Path) -> None:
    """Raise MuxflowError where a file that is no weight file would be replaced: Darknet and Keras name theirs alike."""
    if not path.is_file():
        return
    with naming(path), path.open("rb") as file:
        begin = file.read(len(MAGIC))
    if begin and begin != MAGIC:
        raise MuxflowError(
            f"{path} is no weight file of Muxflow, and would be replaced; name another with --output, or remove it"
        )
