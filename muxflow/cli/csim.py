"""The command `muxflow csim`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import muxflow
from muxflow.cli.console import MOST_JOBS, Json, ProjectArgument, Verbose, answer, next_command, out, tasks, warn
from muxflow.cli.opening import opened_project, warn_of_untold
from muxflow.cli.words import given_options
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.quantities import counted, rate
from muxflow.hls.design_file import load_design
from muxflow.hls.registry import Simulated, owner_of
from muxflow.hls.vitis.execution import TITLES

if TYPE_CHECKING:
    from muxflow.dataflow.graph.graph import Graph
    from muxflow.hls.vitis.csim import Variant
    from muxflow.images import Images


def csim(
    context: typer.Context,
    project: ProjectArgument,
    variant: Annotated[
        Literal["native", "reference", "both"], typer.Option(help="Plain C++ integers, ap_int types, or both.")
    ] = "both",
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set: digits, mnist_5k, mnist_5k_padded, moving_digits, mnist, cifar10, cifar100, stl10, imagenet, "
            "jester; random codes when absent."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Your own images, .npz with `images` (N, H, W, C; codes, or floats that the model reads) and `labels` if any.",
        ),
    ] = None,
    data_folder: Annotated[Path | None, typer.Option(help="Folder with the data set's files.")] = None,
    split: Annotated[str, typer.Option(help="Split of the data set: train or test.")] = "test",
    labels_of: Annotated[
        str | None,
        typer.Option(help="Output whose class the labels are; the first one that says a class when absent."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Images; all of a data set or file, or 16 random ones.")
    ] = None,
    bounded: Annotated[
        bool, typer.Option("--bounded", help="FIFOs have exactly their depths: finds deadlocks.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Differences at near ties, and a model that cannot be run or is gone, are errors too."
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Processes that share the images.")] = os.cpu_count()
    or 1,
    weights: Annotated[
        Path | None,
        typer.Option(help="A weight file to load in place of the project's own weights; compared with its graph."),
    ] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Simulate a project in C and compare every node with the graph, and the graph with the model, bit for bit."""
    from muxflow.proving import images_for, lost_model, project_report, prove

    owner = owner_of(project)
    if owner is not None and isinstance(owner, Simulated):
        for option, given in (("--bounded", bounded), ("--weights", weights), ("--labels-of", labels_of)):
            if given:
                raise UsageError(f"{project} is {owner.project}; {option} is for Muxflow's own projects")
        graph = load_design(project)[0].graph
        warn_of_untold(project)
        _csim_of(owner, project, images_for(graph, data, split, data_folder, count, file), as_json)
        return
    from muxflow.proof.ladder import is_warning
    from muxflow.provenance import changed_model
    from muxflow.reports.render import proof, terminal
    from muxflow.reports.schema.file import to_entry

    opened = opened_project(project)
    images = images_for(opened.design.graph, data, split, data_folder, count, file, labels_of)
    if changed := changed_model(opened.path):
        warn(f"{changed} is not the model that {project} was built from; `muxflow build` makes the project of it")
    variants: Any = ("native", "reference") if variant == "both" else (variant,)
    if weights is not None:
        _csim_with(opened, weights, images, variants, bounded, jobs, as_json)
        return
    if lost := lost_model(opened.path):
        told = f"{project}: its {lost} is gone, so that nothing is compared with the model; build the project again"
        if strict:
            raise MuxflowError(told)
        warn(told)
    with tasks(as_json) as begin:
        rungs, _, speeds = prove(
            opened,
            images,
            variants=variants,
            bounded=bounded,
            jobs=jobs,
            begin=begin,
            strict=strict,
            options=given_options(context),
        )
    for rung in rungs:
        if is_warning(rung):
            warn(f"{rung.title}: {rung.detail}")
    _warn_of_no_class(opened.design.graph, images)
    report = project_report(opened, muxflow.__version__)

    def show() -> None:
        out.print(terminal(report) if verbose else proof(report))
        out.print()
        for name in variants:
            out.print(f"{TITLES[name]}: {rate(speeds[name], 'images')} with every stream recorded")
        next_command("report", os.path.relpath(opened.path))

    answer({**to_entry(report), "images_per_second": speeds}, as_json, show)


def _warn_of_no_class(graph: Graph, images: Images) -> None:
    """Say why labels that a user gave are not counted."""
    from muxflow.images import class_outputs

    if images.labels is not None and not class_outputs(graph):
        warn(f"no accuracy: {graph.why_no_class(graph.outputs[0])}")


def _csim_with(
    project: muxflow.Project,
    weights: Path,
    images: Images,
    variants: Sequence[Variant],
    bounded: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Simulate a project with other weights than its own and say what was compared; its proof ladder stays as it is."""
    from muxflow.proving import accuracy_of
    from muxflow.reports.summary import accuracy_text

    graph = project.hls.graph_with(weights)
    found = {}
    with tasks(as_json) as begin:
        for name in variants:
            step = begin(TITLES[name], 0)
            found[name] = project.csim(images.codes, name, bounded=bounded, jobs=jobs, progress=step, weights=weights)
    first = found[variants[0]]
    count = len(first.streams[first.output_names[0]])
    accuracy = accuracy_of(graph, images, first.streams)
    _warn_of_no_class(graph, images)
    entry = {
        "project": str(project.path),
        "weights": str(weights),
        "images": count,
        "accuracy": accuracy and asdict(accuracy),
        "images_per_second": {name: one.images_per_second for name, one in found.items()},
    }

    def show() -> None:
        for name in found:
            out.print(f"{TITLES[name]}, with {weights}: every node equal to the graph on {counted(count, 'image')}")
        if accuracy is not None:
            out.print(f"accuracy with {weights}: {accuracy_text(accuracy)}")

    answer(entry, as_json, show)


def _csim_of(target: Simulated, path: Path, images: Images, as_json: bool) -> None:
    """Run another target's project by its own means and say what was compared."""
    from muxflow.proof.ladder import rung

    with tasks(as_json) as begin:
        done = begin(f"simulate {path}", 1)
        outcome = target.simulate(path, images.codes)
        done(1, 1)
    entry = {**asdict(rung(outcome)), "project": str(path)}

    def show() -> None:
        out.print(
            f"{outcome.title}: equal to the integer graph on {counted(outcome.images, 'image')} ({entry['detail']})"
        )

    answer(entry, as_json, show)
