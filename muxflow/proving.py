"""The proof ladder of a project: who was compared with the integer graph, on which images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.api import Project
from muxflow.board.bitstream.figures import FIGURES_FILE
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.op import IntArray
from muxflow.frontend import registry
from muxflow.frontend.keras.process import SUFFIXES
from muxflow.hls.vitis import csim
from muxflow.hls.vitis.csim import Variant
from muxflow.hls.vitis.project import VECTOR_FRAMES
from muxflow.reports.report import Accuracy, Report, Rung, make_report

PROOF_FILE = "proof.json"
MODEL_FILE = "model.onnx"
KERAS_FILES = tuple(f"model{suffix}" for suffix in SUFFIXES)
COSIMULATION = "Vitis HLS co-simulation"

Stage = Callable[[str, int], Callable[[int, int], None]]
"""Announces a stage with its number of images and returns what counts them."""


def model_copy(model: Path) -> dict[str, bytes]:
    """What a project keeps of the model that it was built from, by file name: the proof runs it again.

    Empty for a graph saved by Muxflow, behind which there is no other model.
    """
    return {f"model{model.suffix}": model.read_bytes()} if registry.find(model).executes else {}


@dataclass(frozen=True)
class Images:
    """Input codes with, where they come from a data set, labels and its name and split."""

    codes: IntArray
    labels: npt.NDArray[np.int64] | None
    dataset: str
    split: str


def random_images(graph: Graph, count: int, seed: int = 0) -> Images:
    """Seeded random codes over the whole input interval."""
    (source,) = graph.inputs
    codes = random_codes(graph.streams[source], count, np.random.default_rng(seed))
    return Images(codes, None, "random codes", f"seed {seed}")


def dataset_images(graph: Graph, name: str, split: str, folder: Path | None, count: int | None) -> Images:
    """The first `count` images of a data set's split (all when None); raises MuxflowError when they do not fit."""
    from muxflow.frontend.qonnx.execution import image_codes
    from muxflow.frontend.training import datasets

    if split not in ("train", "test"):
        raise MuxflowError(f"split {split!r}; supported: 'train', 'test'")
    dataset = datasets.load(name, "train" if split == "train" else "test", folder)
    return Images(image_codes(graph, dataset.images[:count]), dataset.labels[:count], name, split)


def _labels(graph: Graph, outputs: IntArray) -> npt.NDArray[np.int64]:
    """Predicted classes from output codes: the read-out's largest logit, or the arg-max node's answer."""
    if not graph.readouts:
        return np.asarray(outputs.reshape(len(outputs), -1)[:, 0])
    return np.asarray(np.asarray(graph.read_out(outputs)).reshape(len(outputs), -1).argmax(axis=1), np.int64)


def prove(
    project: Project,
    images: Images,
    *,
    variants: Sequence[Variant] = ("native", "reference"),
    bounded: bool = False,
    jobs: int = 1,
    network: Any = None,
    stage: Stage | None = None,
) -> tuple[tuple[Rung, ...], Accuracy | None, dict[str, float]]:
    """Climbs the ladder: trained network (when given) = model file (when the project has it) = graph = C simulations.

    The model file is a QONNX or a Keras one; it is executed by QONNX or by Keras' own predict.

    Returns the rungs, the accuracy of the C simulation when there are labels, and images a second of each simulation.
    Raises MismatchError at the first difference. The rungs and the accuracy are kept in the project.
    """
    announce = stage or (lambda _title, _total: lambda _done, _count: None)
    graph = project.design.graph
    count = len(images.codes)
    rungs: list[Rung] = []
    if network is not None:
        from muxflow.frontend.brevitas.execution import compare_with_torch

        agreed = compare_with_torch(network, graph, images.codes, announce("trained network (torch)", count))
        rungs.append(Rung("trained network (Brevitas, torch)", "equal", count, _compared(agreed.tensors, agreed.codes)))
    model = project.path / MODEL_FILE
    if model.exists():
        from muxflow.frontend.qonnx.execution import compare_with_qonnx

        agreed = compare_with_qonnx(model, graph, images.codes, announce("QONNX execution", count))
        rungs.append(Rung("QONNX execution", "equal", count, _compared(agreed.tensors, agreed.codes)))
    for keras_model in (project.path / name for name in KERAS_FILES if (project.path / name).exists()):
        from muxflow.frontend.keras.execution import compare_with_keras, rung_title

        agreed = compare_with_keras(keras_model, graph, images.codes, announce("Keras predict", count))
        rungs.append(Rung(rung_title(keras_model), "equal", count, _compared(agreed.tensors, agreed.codes)))
    speeds: dict[str, float] = {}
    outputs = None
    for variant in variants:
        title = "C simulation, " + ("native integers" if variant == "native" else "ap_int types")
        watch = announce(f"{title}: compile", 0)
        _, seconds = csim.compile_csim(project.hls, variant)
        watch(1, 1)
        result = csim.verify(
            project.hls, images.codes, variant, bounded=bounded, jobs=jobs, progress=announce(title, count)
        )
        speeds[variant] = result.images_per_second
        speeds[f"{variant}_compile_seconds"] = seconds
        outputs = np.asarray(result.outputs)
        streams = len(result.streams)
        codes = sum(stream.size for stream in result.streams.values())
        detail = _compared(streams, codes) + (", FIFOs at their depths" if bounded else "")
        rungs.append(Rung(title, "equal", count, detail))
    rungs.append(Rung(COSIMULATION, "not run", 0, "needs the vendor's tool: muxflow bitstream --cosim"))
    rungs.append(Rung("board", "not run", 0, "needs a bitstream and the board"))
    accuracy = None
    if images.labels is not None and outputs is not None:
        correct = int((_labels(graph, outputs) == images.labels).sum())
        accuracy = Accuracy(images.dataset, images.split, count, correct)
    _keep(project, tuple(rungs), accuracy)
    return tuple(rungs), accuracy, speeds


def _compared(tensors: int, codes: int) -> str:
    return f"{tensors} tensors, {codes:,} codes"


def _keep(project: Project, rungs: tuple[Rung, ...], accuracy: Accuracy | None) -> None:
    entry = {
        "digest": project.hls.digest,
        "rungs": [asdict(rung) for rung in rungs],
        "accuracy": None if accuracy is None else asdict(accuracy),
    }
    write_atomically(project.path / PROOF_FILE, (json.dumps(entry, indent=2, sort_keys=True) + "\n").encode())


def project_report(project: Project, version: str) -> Report:
    """The report of a project with what its last simulation proved, unless its sources have changed since."""
    ladder: tuple[Rung, ...] = ()
    accuracy = None
    file = project.path / PROOF_FILE
    if file.exists():
        try:
            entry = json.loads(file.read_text())
            if entry["digest"] == project.hls.digest:
                ladder = tuple(Rung(**rung) for rung in entry["rungs"])
                accuracy = None if entry["accuracy"] is None else Accuracy(**entry["accuracy"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise MuxflowError(f"{file}: not a proof of Muxflow ({error!r}); run `muxflow csim` again") from error
    figures = _vendor_figures(project)
    if figures.get("cosimulated"):
        seen = Rung(COSIMULATION, "equal", VECTOR_FRAMES, f"every output word of the test bench, {figures['hls']}")
        ladder = tuple(seen if rung.title == COSIMULATION else rung for rung in ladder)
    stages = tuple(tuple(row) for row in figures.get("comparison", ()))
    return make_report(project.design, ladder=ladder, accuracy=accuracy, version=version, stages=stages)


def _vendor_figures(project: Project) -> dict[str, Any]:
    """What `muxflow bitstream` read from the vendor's reports; empty where it has not run on these sources."""
    file = project.path / "bitstream" / FIGURES_FILE
    if not file.exists():
        return {}
    try:
        entry: dict[str, Any] = json.loads(file.read_text())
        return entry if entry["digest"] == project.hls.digest else {}
    except (ValueError, KeyError, TypeError) as error:
        raise MuxflowError(f"{file}: not figures of Muxflow ({error!r}); run `muxflow bitstream` again") from error
