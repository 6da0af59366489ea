"""C simulation: compiles a project's own sources with g++ and runs them on images."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from muxflow.board.driver.weights import WEIGHTS_FILE, checksum
from muxflow.dataflow.errors import MismatchError, MuxflowError, ToolError
from muxflow.dataflow.files import file_hash
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.folders import held_folder
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Codes, single_or_tuple
from muxflow.dataflow.limits import listed
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.outputs import own_folder, write_below
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.processes import compiled, ending, first_errors, how, running, runs_nothing
from muxflow.dataflow.text import shown
from muxflow.hls.packing import pack, unpack
from muxflow.hls.vitis.project import Project, changed_meanwhile
from muxflow.hls.vitis.seeds import seed_texts

if TYPE_CHECKING:
    from muxflow.board.driver.packing import Words

Variant = Literal["native", "reference"]
Progress = Callable[[int, int], None]

COMPILER = "g++"
HASH = ".sha256"
"""Ends the name of the file that holds the hash of a compiled simulation."""
IMAGES = 32
"""Images that a simulation on native integers runs side by side, at most: a power of two."""
CODE, COPIED_BYTES = np.dtype("<i8"), 1 << 20
"""How a recorded code stands in a file, and how much of one is copied at a time."""
HELD_BYTES = 1 << 29
"""What codes that are held in FIFOs and buffers may take of memory, whatever the number of images."""


@dataclass(frozen=True)
class CsimResult:
    """What a simulation gave: recorded streams and the outputs in the graph's order, by name, and how long it took.

    `streams`: each is read when it is asked for. `compile_seconds` is 0 when the executable was already there.
    """

    variant: Variant
    streams: Mapping[str, IntArray]
    output_names: tuple[str, ...]
    compile_seconds: float
    run_seconds: float

    @property
    def outputs(self) -> Codes:
        """The output codes: an array, or a tuple with one an output."""
        return single_or_tuple([self.streams[name] for name in self.output_names])

    @property
    def images_per_second(self) -> float:
        """Images simulated in a second, compilation not counted."""
        return len(self.streams[self.output_names[0]]) / self.run_seconds


def ap_types() -> Path | None:
    """Find the folder with the reference `ap_int.h`, from the hls4ml package; None when that is not installed."""
    spec = importlib.util.find_spec("hls4ml")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "templates" / "vivado" / "ap_types"
    return folder if (folder / "ap_int.h").exists() else None


def compile_csim(project: Project, variant: Variant = "native", *, compiler: str = COMPILER) -> tuple[Path, float]:
    """Compile a simulation; return its executable and the seconds it took (0 when it was there for the same sources, unedited).

    One that is not as it was compiled, by the hash that lies beside it, is compiled again.

    `native`: plain C++ integers; `reference`: the `ap_int` types, packed beats as in synthesis.
    Raises ToolError when the compiler or the reference types are absent, or with the compiler's first errors.
    """
    if not isinstance(variant, str) or variant not in ("native", "reference"):
        raise MuxflowError(f"csim variant {shown(variant)}; supported: 'native', 'reference'")
    path = shutil.which(compiler)
    if path is None:
        raise ToolError(
            f"no {compiler} on PATH: the C simulation needs a C++14 compiler "
            "(Debian and Ubuntu: `apt-get install g++`); the project itself is written and whole"
        )
    # The sources name what stands side by side in wide registers, so nothing is left for a vectoriser to find.
    flags = ["-std=c++14", "-w", "-U_FORTIFY_SOURCE", "-DMUXFLOW_CSIM", "-Iinclude", "-Isrc"]
    flags += ["-O1", "-finline-small-functions", "-fstrict-aliasing"]
    if variant == "native":
        flags += ["-fwrapv", "-march=native", "-faligned-new", "-DMUXFLOW_NATIVE"]
        flags += [f"-DMUXFLOW_IMAGES={side_by_side(project.design)}"]
    else:
        folder = ap_types()
        if folder is None:
            raise ToolError(
                f"the reference types ap_int.h are not installed; they come with hls4ml: {install_extra('reference')}"
            )
        flags += [f"-I{folder}"]
    key = hashlib.sha256("\0".join([project.digest, path, _processor(), *flags]).encode()).hexdigest()[:16]
    folder_out = own_folder(project.path, "csim")
    executable = folder_out / f"{variant}-{key}"
    told = executable.with_suffix(HASH)
    if not project.doubts and _as_compiled(executable, told):  # whoever edits may include what no digest knows
        return executable, 0.0
    started = time.perf_counter()
    try:
        folder_out.mkdir(exist_ok=True)
        with held_folder(folder_out, f".{variant}.") as scratch:
            stamps = project.stamps()
            if replace(project).digest != project.digest:
                raise changed_meanwhile(project, "it was compiled")
            # The main program is small; the sources of the region take nearly all the time.
            command = [path, *flags, "src/top.cpp", "sim/main.cpp", "-o", str(scratch / variant)]
            done = compiled(command, project.path, "src/top.cpp")
            if done.returncode or not (scratch / variant).is_file():
                text = f"{' '.join(command)}\n{done.stderr}"
                (log,) = write_below(folder_out, {f"{variant}.log": text.encode()})
                raise ToolError(
                    f"{compiler} failed on {project.path / 'src/top.cpp'}, with {how(done.returncode)}; log: {log}\n"
                    f"{first_errors(done.stderr)}"
                )
            if project.stamps() != stamps:
                raise changed_meanwhile(project, "it was compiled")
            for older in folder_out.glob(f"{variant}-{'[0-9a-f]' * len(key)}*"):
                if older.suffix in ("", HASH) and older not in (executable, told):
                    older.unlink(missing_ok=True)
            write_below(folder_out, {told.name: file_hash(scratch / variant).encode()})
            (scratch / variant).rename(executable)
            (folder_out / f"{variant}.log").unlink(missing_ok=True)  # of one that failed
    except OSError as error:
        raise MuxflowError(f"{folder_out}: the simulation cannot be compiled there ({error.strerror})") from error
    return executable, time.perf_counter() - started


def _as_compiled(executable: Path, told: Path) -> bool:
    try:
        return os.access(executable, os.X_OK) and told.read_bytes() == file_hash(executable).encode()
    except OSError:
        return False


def side_by_side(design: Design) -> int:
    """Say how many images a simulation on native integers runs side by side: fewer where the network holds large maps."""
    streams = design.graph.streams
    held = sum(depth * streams[name].lanes for name, depth in design.depths.items())
    if design.graph.carries:
        return 1  # one sequence
    held += sum(one.memory.bits for placed in design.memories.values() for one in placed if one.memory.writable)
    images = IMAGES
    while images > 1 and 4 * held * images > HELD_BYTES:
        images //= 2
    return images


def _processor() -> str:
    """Return what -march=native depends on, so that a folder that moves to another machine is compiled again."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return sys.platform
    return next((line for line in lines if line.startswith(("flags", "Features"))), sys.platform)


def run_csim(
    project: Project,
    images: Batch,
    variant: Variant = "native",
    *,
    bounded: bool = False,
    record: Sequence[str] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
    compiler: str = COMPILER,
    seeds: Mapping[str, Sequence[int]] | None = None,
    weights: Path | None = None,
) -> CsimResult:
    """Simulate input codes, shape (N, *input.shape) an input, and return the output codes.

    `bounded`: every FIFO has exactly its depth; a deadlock raises ToolError with each waiting process and its stream.
    Raises MismatchError with them where the last output never comes and no process waits for room.
    `record`: streams to record in full beside the outputs, none by default.
    `jobs`: processes that share the images, which one alone has where they are a sequence. `progress(done, total)` counts
    images. `seeds`: starts of weight generators by node, where the project's seeds are writable; the stored ones for nodes
    that are not named. `weights`: the weight file that is loaded, the project's own weights without one; raises MuxflowError
    for one of another design.
    """
    design = project.design
    words = project.words(weights)
    codes = design.graph.check_codes(images)
    count = len(codes[design.graph.inputs[0]])
    executable, compile_seconds = compile_csim(project, variant, compiler=compiler)
    outputs = design.graph.outputs
    streams = tuple(name for name in listed(record or (), "csim: record") if name not in outputs)
    jobs = 1 if design.graph.carries else max(1, min(jobs, count))
    bounds = np.linspace(0, count, jobs + 1).astype(int)
    started = time.perf_counter()
    with held_folder(project.path / "csim", ".run.") as scratch:
        runs = []
        with ExitStack() as processes:
            for index, (first, last) in enumerate(itertools.pairwise(bounds)):
                options = [*(["--bounded"] if bounded else []), *seed_options(project, seeds or {})]
                share = {name: array[first:last] for name, array in codes.items()}
                folder = scratch / str(index)
                runs.append(_Run(processes, project, folder, executable, share, options, streams, words))
            _watch(runs, count, progress)
        # Mapped before the folder goes: the codes stay on the disk until they are asked for.
        taps = _gathered(scratch / "taps", count, {name: [run.taps[name] for run in runs] for name in streams})
        found = {name: np.concatenate([run.output(name) for run in runs]) for name in outputs}
    seconds = time.perf_counter() - started
    return CsimResult(variant, _Recorded(design, taps, found), outputs, compile_seconds, seconds)


def _gathered(file: Path, frames: int, parts: Mapping[str, Sequence[Path]]) -> Mapping[str, IntArray]:
    """Move recorded codes, a part for each process, into one file and map it: every map holds a file open, of which few may be.

    Returns the codes by stream in the order of its beats, shape (frames, elements), left in the file.
    """
    if not parts:
        return {}
    ends: list[int] = []
    with file.open("wb") as whole:
        for files in parts.values():
            for part in files:
                with part.open("rb") as one:
                    shutil.copyfileobj(one, whole, COPIED_BYTES)
                part.unlink()
            ends.append(whole.tell() // CODE.itemsize)
    codes = np.split(np.memmap(file, CODE, "r"), ends[:-1])
    return {name: array.reshape(frames, -1) for name, array in zip(parts, codes, strict=True)}


class _Recorded(Mapping[str, IntArray]):
    """Streams by name: recorded ones from the file that holds them, and the outputs."""

    def __init__(self, design: Design, taps: Mapping[str, IntArray], outputs: Mapping[str, IntArray]) -> None:
        self._design = design
        self._taps = taps
        self._outputs = outputs

    def __getitem__(self, name: str) -> IntArray:
        if name in self._outputs:
            return self._outputs[name]
        graph = self._design.graph
        codes = np.array(self._taps[name])
        producer = graph.producers().get(name)
        codes = graph.streams[name].in_order(codes)
        if producer is not None:
            codes = producer.op.from_stream_order(graph.ports(producer), self._design.folds[producer.name], codes)
        return codes.reshape(len(codes), *graph.streams[name].shape)

    def __iter__(self) -> Iterator[str]:
        return iter((*self._taps, *self._outputs))

    def __len__(self) -> int:
        return len(self._taps) + len(self._outputs)


def seed_options(project: Project, seeds: Mapping[str, Sequence[int]]) -> list[str]:
    """Write the arguments of the simulation that give weight generators another start, by node.

    Raises MuxflowError for a start that does not fit.
    """
    texts = seed_texts(project.registers, seeds)
    return [word for argument, cells in texts.items() for word in ("--seed", argument, cells)]


def load_options(project: Project, file: Path, words: Words) -> list[str]:
    """Write the words that are loaded into a file, and the arguments of the simulation that name it."""
    if project.memories is None:
        return []
    file.write_bytes(words.tobytes())
    return ["--weights", str(file)]


class _Run:
    """One simulation over a share of the images; its process is one of `processes` and ends with them."""

    def __init__(
        self,
        processes: ExitStack,
        project: Project,
        folder: Path,
        executable: Path,
        codes: Mapping[str, IntArray],
        options: Sequence[str],
        streams: Sequence[str],
        weights: Words,
    ) -> None:
        self.design, self.names = project.design, project.names
        self.checksum = None if project.memories is None else checksum(weights)
        self.folder = folder
        self.frames = len(next(iter(codes.values())))
        self.log = ""
        self.done = 0
        self.loaded: int | None = None
        graph = project.design.graph
        self.taps = {name: folder / f"{index}.tap" for index, name in enumerate(streams)}
        try:
            folder.mkdir()
            for name, array in codes.items():
                self._file(name).write_bytes(pack(array, graph.streams[name]).tobytes())
            options = [*options, *load_options(project, folder / WEIGHTS_FILE, weights)]
        except OSError as error:
            raise MuxflowError(f"{folder}: the simulation's input cannot be written ({error.strerror})") from error
        command = [str(executable), str(self.frames)]
        for option, ends in (("--in", graph.inputs), ("--out", graph.outputs)):
            for name in ends:
                command += [option, self.names.ports[name], str(self._file(name))]
        command += options
        for name, file in self.taps.items():
            command += [
                "--tap",
                self.names.variables[name],
                str(file),
                str(graph.streams[name].beats * graph.streams[name].lanes),
            ]
        try:
            self.process = processes.enter_context(running(command, stderr=subprocess.PIPE, text=True))
        except OSError as error:
            raise ToolError(
                f"{executable}: the simulation cannot be started ({error.strerror}){runs_nothing(executable.parent)}"
            ) from error

    def poll(self) -> bool:
        """Read one line of what the process says; False once it has ended."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        if line.startswith("images "):
            self.done = int(line.split()[1])
        elif line.startswith("checksum "):
            self.loaded = int(line.split()[1], 16)
        else:
            self.log += line
        return bool(line)

    def finish(self) -> None:
        """Raise ToolError when the process failed."""
        code = self.process.wait()
        if code == 3:
            raise self._stopped()
        if code:
            raise ToolError(f"csim: the simulation ended with {ending(code, self.log)}")
        if self.loaded != self.checksum:
            raise ToolError(
                f"csim: the checksum of the loaded weights is {self.loaded}, expected {self.checksum}; are the sources and the "
                "design of one build? Build the project again"
            )

    def _stopped(self) -> MuxflowError:
        """Say what every process waits for: for room in FIFOs, or only for data that no other depths would bring."""
        waiting = [line.split()[1:] for line in self.log.splitlines() if line.startswith("waiting ")]
        if any(how != "reads" for _, how, _, _ in waiting):
            lines = [
                f"  {process} waits for {'data' if how == 'reads' else 'room'} on {stream} (depth {depth})"
                for process, how, stream, depth in waiting
            ]
            told = (
                "csim: deadlock with bounded FIFOs (where it stops with FIFOs without limit too, no depth is at fault)"
            )
            return ToolError("\n".join([told, *lines]))
        lines = [f"{process} waits for data on {stream}" for process, _, stream, _ in waiting]
        return MismatchError(
            "csim: the simulation stops before its last output, and not for want of room in FIFOs: a process reads more or "
            f"writes less than its design says ({', '.join(lines)}). Are sources and design of one build? Build the project "
            "again"
        )

    def _file(self, stream: str) -> Path:
        """Locate the words of an outer stream."""
        return self.folder / self.names.ports[stream]

    def output(self, name: str) -> IntArray:
        """Read the codes of an output of this share."""
        return unpack(np.fromfile(self._file(name), "<u8"), self.design.graph.streams[name])


def _watch(runs: Sequence[_Run], total: int, progress: Progress | None) -> None:
    """Follow all processes to their end."""
    active = list(runs)
    while active:
        active = [run for run in active if run.poll()]
        if progress:
            progress(sum(run.done for run in runs), total)
    for run in runs:
        run.finish()


def recordable(project: Project) -> list[str]:
    """List the streams that a simulation can be compared on: all but weights, which repeat, and width converters, which copy."""
    graph = project.design.graph
    producers = graph.producers()
    weights = graph.weights()
    return [
        name
        for name in graph.streams
        if name not in weights and (name not in producers or not producers[name].op.only_lanes)
    ]
