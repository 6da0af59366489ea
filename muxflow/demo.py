"""The main job on the shipped digits network, from the Brevitas weights to the report."""

from __future__ import annotations

import filecmp
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import muxflow
from muxflow.board.board import find_board
from muxflow.board.driver import Accelerator
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.fit.resizing import without_margins
from muxflow.dataflow.folders import check_former, check_writable
from muxflow.dataflow.outputs import own_folder
from muxflow.dataflow.quantities import counted, rounded
from muxflow.dataflow.text import unknown
from muxflow.hls.design_file import DESIGN_FILES
from muxflow.hls.vitis.writing import check_folder
from muxflow.proving import MODEL_FILE, Begin, dataset_images, project_report, prove
from muxflow.reports.figures.style import check_ending
from muxflow.reports.figures.video import plot_video
from muxflow.reports.render import terminal, write_report
from muxflow.reports.schema.file import to_entry
from muxflow.reports.schema.report import Report
from muxflow.video import CLIPS, Arrival, check_clips, watch


@dataclass(frozen=True)
class DemoResult:
    """What a demo run made: the report, the project's folder, the written files, seconds taken.

    `video`: the data set of which clips are played when the result is shown, "" for none; `plot`: the file into which
    their pictures are drawn then.
    """

    report: Report
    project: Path
    files: tuple[Path, ...]
    seconds: float
    video: str = ""
    plot: Path | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """Give the result for --json."""
        return {
            **to_entry(self.report),
            "project": str(self.project),
            "files": [str(path) for path in self.files],
            "seconds": round(self.seconds, 1),
            **({"video": [asdict(arrival) for arrival in self.arrivals()]} if self.video else {}),
        }

    def arrivals(self) -> Iterator[Arrival]:
        """Play the first clips of the held-out split in the emulator, picture by picture."""
        from muxflow.frontend.training.datasets.registry import load

        dataset = load(self.video, "test")
        clips = dataset.images[:CLIPS]
        arrivals = []
        with Accelerator.emulate(self.project) as accelerator:
            for arrival in watch(accelerator, clips, dataset.labels[:CLIPS].tolist(), dataset.classes):
                arrivals.append(arrival)
                yield arrival
        if self.plot is not None:
            captions = [arrival.caption for arrival in arrivals]
            plot_video(clips.reshape(-1, *clips.shape[2:]), captions, self.plot)

    def show(self, console: Console) -> None:
        """Print the result for a reader."""
        console.print(terminal(self.report, verbose=False))
        console.print()
        equal = [rung for rung in self.report.ladder if rung.status == "equal"]
        console.print(
            f"{counted(len(equal), 'execution')} agree with the integer graph bit for bit on every one of "
            f"{counted(equal[0].images, 'image')}."
        )
        console.print(f"project: {os.path.relpath(self.project)}")
        console.print(f"report:  {os.path.relpath(next(path for path in self.files if path.suffix == '.html'))}")
        console.print(f"done in {rounded(self.seconds)} s")
        if self.video:
            for arrival in self.arrivals():
                console.print(arrival.line)


def run_demo(
    output: Path,
    *,
    network: str = "mognet_digits",
    board: str,
    select: str | None = None,
    video: bool = False,
    plot: Path | None = None,
    begin: Begin,
) -> DemoResult:
    """Take the Brevitas network to QONNX, graph, design, HLS project, C simulation on the whole held-out split and report.

    Nothing is trained or downloaded: the weights ship with Muxflow. `select`: of a MOGNET, None for the network as it is;
    `video`: clips are played when the result is shown, and drawn into the file `plot`.
    Raises MuxflowError for a network, select mode or board that is unknown, or a video of a network that takes no clips,
    MismatchError when any two executions differ.
    """
    find_board(board)
    if plot is not None:
        _check_plot(plot, video)
    # Torch is slow to load: only when the demo really runs.
    import torch

    from muxflow.frontend.training.result import PRETRAINED, shipped
    from muxflow.frontend.training.trained import export_trained, load_trained
    from muxflow.frontend.training.trainer import file_name

    name = file_name(network, select)
    if name not in shipped():
        raise UsageError(unknown("network", name, shipped(), "does not ship"))
    check_writable(output / f"{name}.onnx", listed_in=output)
    check_folder(output / name)
    _check_model(output / f"{name}.onnx", PRETRAINED / f"{name}.onnx")
    torch.set_num_threads(1)
    started = time.perf_counter()
    done = begin("export the Brevitas network to QONNX", 1)
    output.mkdir(parents=True, exist_ok=True)
    trained = load_trained(PRETRAINED / name)
    facts = json.loads((PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))
    model = export_trained(PRETRAINED / name, output / f"{name}.onnx")
    done(1, 1)
    done = begin("import QONNX into the integer graph", 1)
    graph = muxflow.load(model)
    check_former(output / name, graph.name, DESIGN_FILES, "or remove it")
    if video:
        check_clips(graph)
    images = dataset_images(graph, facts["dataset"], "test", None, None)
    done(1, 1)
    done = begin(f"fit {board}: folds, FIFO depths, memories", 1)
    design = muxflow.fit(graph, board)
    done(1, 1)
    done = begin("FIFO margins", 1)
    bare = without_margins(design)
    done(1, 1)
    done = begin("write the HLS project", 1)
    project = muxflow.write(design, output / name, vectors=images.codes, extra={MODEL_FILE: model.read_bytes()})
    done(1, 1)
    prove(project, images, network=trained, jobs=os.cpu_count() or 1, begin=begin)
    report = project_report(project, muxflow.__version__, bare)
    files = write_report(report, own_folder(project.path, "report"))
    played = facts["dataset"] if video else ""
    return DemoResult(report, project.path, tuple(files), time.perf_counter() - started, played, plot)


def _check_model(model: Path, ours: Path) -> None:
    """Raise MuxflowError where a file stands at `model` that is not the same as `ours`: it is the user's."""
    if model.exists() and not filecmp.cmp(model, ours, shallow=False):
        raise MuxflowError(f"{model} is another model than the one that ships; choose another folder, or remove it")


def _check_plot(plot: Path, video: bool) -> None:
    """Raise UsageError for a plot without a video or of another format, MuxflowError where the file cannot come to be."""
    if not video:
        raise UsageError(f"--plot {plot} draws a video; add --video")
    check_ending(plot)
    check_writable(plot)
