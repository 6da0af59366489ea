"""A project's way up the proof ladder: puts together what runs its network, from torch to the C simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.api import Project
from muxflow.dataflow.errors import MismatchError, MuxflowError, UsageError
from muxflow.dataflow.fit.curves import FrontierPoint
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.graph import BATCH, Graph
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.limits import MOST_ELEMENTS, check_elements
from muxflow.dataflow.manifest import read_manifest
from muxflow.dataflow.op import IntArray
from muxflow.frontend import registry
from muxflow.hls.vitis.csim import Variant
from muxflow.hls.vitis.execution import TITLES, CsimExecution
from muxflow.hls.vitis.project import unchanged
from muxflow.images import Frames, Images, class_outputs, counted_output, file_images, labelled
from muxflow.proof.compare import compare
from muxflow.proof.execution import Execution
from muxflow.proof.ladder import Ladder, differs, keep_ladder, kept_ladder, model_digest, predictions, rung, stale
from muxflow.provenance import provenance_of
from muxflow.reports.gather.energy import Energies
from muxflow.reports.gather.pipeline import watch
from muxflow.reports.gather.report import make_report
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import Accuracy, Rung
from muxflow.vendor import COSIMULATION, vendor_findings

MODEL_FILE = "model.onnx"
RANDOM_IMAGES = 16
"""Images that are compared where no data set is given."""

Begin = Callable[[str, int], Callable[[int, int], None]]
"""`begin(title, total)`: shows a task with its number of images and returns what counts them."""


def model_copy(model: Path) -> dict[str, bytes]:
    """Return what a project keeps of the model that it was built from, by file name: the proof runs it again.

    It is one file, with constants that stand beside the model's in it, as a proof is tied to what that file holds. Empty for
    a graph saved by Muxflow, which comes from no other model.
    """
    return {f"model{registry.kept_suffix(model)}": registry.whole(model)} if registry.find(model).executes else {}


@contextmanager
def unchanged_model(model: Path) -> Iterator[None]:
    """Raise MuxflowError at the end of the block where another model has come to the file: its graph and its copy are of two."""
    before = _stamp(model)
    yield
    if _stamp(model) != before:
        raise MuxflowError(f"model {model}: changed while it was read; try again when what writes it has ended")


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:  # what reads it says why
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def random_images(graph: Graph, count: int, seed: int = 0) -> Images:
    """Draw seeded random codes over the whole interval of each input; raises MuxflowError where they would fill the memory."""
    for name in graph.inputs:
        check_elements(f"--count {count}: codes of {name}", count, graph.streams[name].size)
    generator = np.random.default_rng(seed)
    codes = {}
    for name in graph.inputs:
        stream = graph.streams[name]
        # Narrow integers, drawn part by part: many images are no more than their codes. Of what no unsigned type holds, and
        # of which NumPy would make floats, the signed one is enough.
        kind = np.promote_types(*map(np.min_scalar_type, (stream.lo, stream.hi)))
        codes[name] = np.empty((count, *stream.shape), kind if kind.kind in "iu" else np.int64)
        for start in range(0, count, BATCH):
            part = codes[name][start : start + BATCH]
            part[...] = random_codes(stream, len(part), generator)
    return Images(codes, None, "random codes", f"seed {seed}")


def dataset_images(graph: Graph, name: str, split: str, folder: Path | None, count: int | None) -> Images:
    """Return the first `count` images of a data set's split (all when None); raises MuxflowError when they do not fit.

    More than an array may hold are read part by part.
    """
    from muxflow.frontend.floats import image_codes
    from muxflow.frontend.training.datasets.registry import load

    if split not in ("train", "test"):
        raise UsageError(f"split {split!r}; supported: 'train', 'test'")
    dataset = load(name, "train" if split == "train" else "test", folder)
    taken = len(dataset) if count is None else min(count, len(dataset))
    try:
        first = image_codes(graph, dataset.images[:1])  # says what does not fit before all are decoded
    except MuxflowError as error:
        raise MuxflowError(f"data set {name}: {error}") from error
    shape = (taken, *first.shape[1:])

    def codes(part: slice) -> npt.NDArray[np.uint8]:
        return image_codes(graph, dataset.images[slice(*part.indices(taken))])

    frames = Frames(f"--count {taken}: codes of data set {name}", shape, codes)
    return Images(frames if prod(shape) > MOST_ELEMENTS else np.asarray(frames), dataset.labels[:taken], name, split)


def images_for(
    graph: Graph,
    data: str | None,
    split: str,
    folder: Path | None,
    count: int | None,
    file: Path | None = None,
    output: str | None = None,
) -> Images:
    """Return the images of a file or a data set; `count` random ones, 16 when None, without either.

    `output`: whose class their labels are, None for the first that says one.
    Raises UsageError for both, and for a split or a folder without a data set, MuxflowError where they do not fit, or their
    labels are no classes of the graph.
    """
    if data is not None and file is not None:
        raise UsageError(f"both --data {data} and --images {file} are given; give one of them")
    if data is None and (folder is not None or split != "test"):
        option = f"--split {split}" if folder is None else f"--data-folder {folder}"
        raise UsageError(f"{option} is given without a data set; name it: --data")
    if file is None and data is None:
        return labelled(graph, random_images(graph, RANDOM_IMAGES if count is None else count), output)
    images = file_images(graph, file, count) if file else dataset_images(graph, str(data), split, folder, count)
    return labelled(graph, images, output)


def prove(
    project: Project,
    images: Images,
    *,
    variants: Sequence[Variant] = ("native", "reference"),
    bounded: bool = False,
    jobs: int = 1,
    network: Any = None,
    begin: Begin | None = None,
    strict: bool = False,
    options: Sequence[str] | None = None,
) -> tuple[tuple[Rung, ...], Accuracy | None, dict[str, float]]:
    """Climb the ladder: trained network (when given) = model file (when the project has it) = graph = C simulations.

    The model file is a QONNX or a Keras one; it is executed by QONNX or by Keras' own predict.

    A model that differs only at near ties of the graph, which float rounding decides, or that its library cannot run, has a
    rung that says so; `strict`: that is an error too. `options`: of the command line, kept for the report.

    Returns the rungs, the accuracy when there are labels, and images a second of each simulation.
    Raises MismatchError at the first difference. The rungs and the accuracy are kept in the project, and the difference.
    """
    begin = begin or (lambda _title, _total: lambda _done, _count: None)
    graph = project.design.graph
    told = None if options is None else tuple(options)
    with unchanged(project.hls, parts=_model_names()), ExitStack() as opened:
        digests = project.hls.digest, model_digest(project.path)
        models = _model_executions(project, network, opened)
        simulations = {variant: _simulation(project, variant, bounded, jobs, begin) for variant in variants}
        executions = [*models, *simulations.values()]
        # What a state goes on in is one sequence.
        codes = np.asarray(images.codes) if isinstance(images.codes, Frames) and graph.carries else images.codes
        count = len(codes) if isinstance(codes, Frames) else graph.frames(codes)
        given = codes.parts(BATCH) if isinstance(codes, Frames) else codes
        watches = [begin(execution.title, count) for execution in executions]

        def progress(done: int, _total: int) -> None:
            for watch in watches:
                watch(done, count)

        try:
            agreed = compare(graph, executions, given, progress, tolerant=not strict)
        except MismatchError as error:
            keep_ladder(project.path, *digests, replace(differs(executions, error), options=told))
            raise
    speeds: dict[str, float] = {}
    for (variant, simulation), outcome in zip(simulations.items(), agreed.outcomes[len(models) :], strict=True):
        speeds[variant] = outcome.images_per_second
        speeds[f"{variant}_compile_seconds"] = simulation.compile_seconds
    rest = ", ".join(end.rest for end in graph.ends.values() if end.rest)
    remarks = [f"up to {rest}, which the host computes" if rest else ""] * len(models)
    depths = "FIFOs at their depths" if bounded else ""
    remarks += [", ".join(filter(None, (depths, project.hls.doubts)))] * len(simulations)
    rungs = [rung(outcome, remark) for outcome, remark in zip(agreed.outcomes, remarks, strict=True)]
    rungs.append(Rung(COSIMULATION, "not run", 0, "needs the vendor's tool: muxflow bitstream"))
    rungs.append(Rung("board", "not run", 0, "needs a bitstream and the board"))
    accuracy = accuracy_of(graph, images, agreed.outputs)
    keep_ladder(project.path, *digests, Ladder(tuple(rungs), accuracy, told))
    return tuple(rungs), accuracy, speeds


def accuracy_of(graph: Graph, images: Images, outputs: Mapping[str, IntArray]) -> Accuracy | None:
    """Count the right answers of outputs, codes by name; None without labels, or where no output says the class."""
    streams = class_outputs(graph)
    name = counted_output(streams, images)
    if images.labels is None or name is None:
        return None
    stream, told = streams[name], name if len(streams) > 1 else ""
    correct = int((predictions(graph, stream, outputs[stream]) == images.labels).sum())
    return Accuracy(images.dataset, images.split, len(images.labels), correct, images.digest, told)


def _model_executions(project: Project, network: Any, opened: ExitStack) -> list[Execution]:
    """Return the executions of the trained network and of the model file that the project was built from, where there."""
    graph = project.design.graph
    executions: list[Execution] = []
    if network is not None:
        from muxflow.frontend.brevitas.execution import TorchExecution

        executions.append(TorchExecution(network, graph))
    for name in _model_names():
        model = project.path / name
        if model.exists() and (reader := registry.find(model)).executes:
            if registry.whole(model) != model.read_bytes():
                raise MuxflowError(
                    f"{model} has constants in files beside it, to which no proof is tied; build the project again, which "
                    "keeps the model in one file"
                )
            executions.append(opened.enter_context(reader.execution(model, graph)))
    return executions


def _model_names() -> list[str]:
    """List the names that a project's copy of its model may have."""
    return [f"model{suffix}" for suffix in registry.suffixes()]


def lost_model(folder: Path) -> str:
    """Name the model file that a project was built with and that is there no more; "" where none is lost."""
    manifest = read_manifest(folder)
    return next(
        (name for name in _model_names() if manifest and name in manifest.files and not (folder / name).exists()), ""
    )


def _simulation(project: Project, variant: Variant, bounded: bool, jobs: int, begin: Begin) -> CsimExecution:
    watch = begin(f"{TITLES[variant]}: compile", 0)
    simulation = CsimExecution(project.hls, variant, bounded=bounded, jobs=jobs)
    watch(1, 1)
    return simulation


def project_report(
    project: Project,
    version: str,
    bare: Design | None = None,
    energies: Energies | None = None,
    *,
    watched: bool = False,
    frontier: tuple[FrontierPoint, ...] = (),
) -> Report:
    """Make the report of a project, with what its last simulation found: stale where its sources have changed since.

    `bare`, `energies`, `watched`, `frontier`: as `folder_report` takes them.
    """
    hls = project.hls
    more: dict[str, Any] = {"bare": bare, "energies": energies, "watched": watched, "frontier": frontier}
    return folder_report(hls.design, hls.path, hls.digest, version, doubts=hls.doubts, **more)


def folder_report(
    design: Design,
    folder: Path,
    digest: str,
    version: str,
    *,
    doubts: str = "",
    bare: Design | None = None,
    energies: Energies | None = None,
    watched: bool = False,
    frontier: tuple[FrontierPoint, ...] = (),
    built_by: str = "",
) -> Report:
    """Make the report of a design whose project stands in a folder.

    `digest`: of its sources, which proofs are tied to; `doubts`: why figures may not be those of the sources, as
    `Project.doubts` says; `bare`, `energies`, `frontier`: as `make_report` takes them; `watched`: simulate what each layer
    does with its time; `built_by`: the command that built the project, the one that it keeps when empty.
    """
    kept, found = kept_ladder(folder, digest), vendor_findings(design, folder, digest)
    seen = {one.title: one for one in (found.rung,) if one is not None}
    return make_report(
        design,
        ladder=tuple(_with_findings(one, seen) for one in kept.rungs),
        accuracy=kept.accuracy,
        version=version,
        stages=found.stages,
        doubts=doubts,
        bare=bare,
        energies=energies,
        pipeline=watch(design) if watched else None,
        frontier=frontier,
        power=found.power,
        measured=found.measured,
        provenance=provenance_of(design, folder, digest, kept, found.stages, built_by),
    )


def _with_findings(one: Rung, seen: Mapping[str, Rung]) -> Rung:
    """Give what a vendor's tool found of a rung, where it has run."""
    found = seen.get(one.title, one)
    return stale(found) if found.status == "stale" else found
