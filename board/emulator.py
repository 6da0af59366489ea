"""The C simulation in the place of the board: the same calls as on the board, on any machine."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muxflow.board.deploy import interface_entry, self_test_set
from muxflow.board.driver.results import Counters, StreamCounters
from muxflow.board.driver.weights import WEIGHTS_FILE
from muxflow.dataflow.errors import MuxflowError, MuxflowWarning
from muxflow.dataflow.interruption import undisturbed
from muxflow.dataflow.processes import ending, started
from muxflow.hls.packing import pack
from muxflow.hls.vitis.csim import compile_csim, load_options, seed_options
from muxflow.hls.vitis.project import load_project

if TYPE_CHECKING:
    from muxflow.board.driver.interface import Seed
    from muxflow.board.driver.packing import Words

BEGINNING = (1, 1)
"""What names the second frame of a simulation as the one that begins anew."""


class Emulator:
    """An HLS project as a backend of `Accelerator`: a slot's words go through one run of the compiled simulation.

    `interface`, `self_test`: what the deploy folder would hold. `error`: the exception type of the driver that asks,
    which may be a copy of Muxflow's own; it is raised with the text of any MuxflowError. A run of the simulation begins with the
    state 0, so that of a sequence all frames since it began are simulated again. Sources that were edited are simulated as they
    are, with a MuxflowWarning.
    Only frames and words are counted: the C simulation has no clock.
    """

    source = "emulator"

    def __init__(self, path: Path, error: Callable[[str], Exception]) -> None:
        self._error = error
        with self._telling(path):
            self._project = load_project(path)
            if self._project.doubts:
                warnings.warn(f"{path}: {self._project.doubts}", MuxflowWarning, stacklevel=4)
            self.interface = interface_entry(self._project)
            self.self_test = self_test_set(self._project)
            self._executable, _ = compile_csim(self._project)
            self._scratch = tempfile.TemporaryDirectory(prefix="muxflow.")
        self._seeds: dict[str, tuple[int, ...]] = {}
        self._states: dict[str, tuple[int, ...]] = {}
        self._weights: list[str] = []
        self._sequence: list[Sequence[Words]] = []  # what has been sent since it began
        self._loaded = [0, 0]
        self._before = [0, 0]
        self._frames = 0
        self._run: subprocess.Popen[str] | None = None
        self._log = ""

    @contextmanager
    def _telling(self, path: Path | None = None) -> Iterator[None]:
        """Raise the driver's error for one of Muxflow's, and for what the system refuses of `path` or of a file."""
        try:
            yield
        except MuxflowError as problem:
            raise self._error(str(problem)) from problem
        except OSError as problem:
            raise self._error(f"{path or problem.filename}: {problem.strerror or problem}") from problem

    def _file(self, port: str, slot: int) -> Path:
        return Path(self._scratch.name) / f"{port}.{slot}"

    def _ports(self, side: str) -> list[str]:
        return [entry["port"] for entry in self.interface[side]]

    def load(self, slot: int, words: Sequence[Words]) -> None:
        """Write the slot's file of each input."""
        self._loaded[slot] = len(words[0])
        self._before[slot] = sum(len(one[0]) for one in self._sequence)
        sent = [*self._sequence, words]
        if self.interface["states"]:
            self._sequence = sent
        with self._telling():
            for number, port in enumerate(self._ports("inputs")):
                self._file(port, slot).write_bytes(b"".join(one[number].tobytes() for one in sent))

    def start(self, slot: int) -> None:
        """Start the simulation on the slot's input files."""
        command = [str(self._executable), str(self._before[slot] + self._loaded[slot])]
        for option, side in (("--in", "inputs"), ("--out", "outputs")):
            for port in self._ports(side):
                command += [option, port, str(self._file(port, slot))]
        command += [*seed_options(self._project, {**self._seeds, **self._states}), *self._weights]
        with self._telling(), undisturbed():
            self._run = started(command, stderr=subprocess.PIPE, text=True)

    def wait(self, slot: int, seconds: float) -> tuple[Words, ...]:
        """Read the words of each output of the slot, once the simulation has ended."""
        run, frames = self._run, self._loaded[slot]
        assert run is not None
        try:
            _, log = run.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise self._error(
                f"{self.interface['name']}: no answer within {seconds:g} s for {frames} frames in the emulator; give a longer "
                "timeout or a smaller batch"
            ) from None
        self._run = None
        self._log = log
        if run.returncode:
            raise self._error(f"{self.interface['name']}: the simulation ended with {ending(run.returncode, log)}")
        self._frames += frames
        files = (self._file(port, slot) for port in self._ports("outputs"))
        whole = self._before[slot] + frames
        return tuple(np.fromfile(file, "<u8").reshape(whole, -1)[self._before[slot] :] for file in files)

    def reset(self) -> None:
        """End a simulation that runs, and the sequence."""
        self._end()
        self._states, self._sequence = {}, []

    def _end(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.kill()
            run.communicate()

    def write_seed(self, seed: Seed, cells: tuple[int, ...]) -> None:
        """Let the next simulation start that generator there."""
        self._seeds[seed.node] = cells

    def write_state(self, state: Seed, cells: tuple[int, ...]) -> None:
        """Let the next frame, which the driver drops, be the first of a sequence and the one after it begin anew."""
        self._states[state.node] = BEGINNING
        self._sequence = []

    def load_weights(self, words: Words, seconds: float) -> int:
        """Let every simulation from now on load these words first; a frame that is dropped gives the checksum."""
        with self._telling():
            self._weights = load_options(self._project, self._file(WEIGHTS_FILE, 0), words)
        graph = self._project.design.graph
        frames, loaded, sequence = self._frames, list(self._loaded), self._sequence
        self.load(0, [pack(np.full((1, *s.shape), s.lo), s) for s in map(graph.streams.__getitem__, graph.inputs)])
        self.start(0)
        try:
            self.wait(0, seconds)
        finally:
            self._end()
            self._frames, self._loaded, self._sequence = frames, loaded, sequence
        return int(next(line.split()[1] for line in self._log.splitlines() if line.startswith("checksum ")), 16)

    def counters(self) -> Counters:
        """Tell frames and words; nothing that needs a clock."""
        frames = self._frames
        inputs, outputs = (
            tuple(
                StreamCounters(frames, frames * entry["words_per_frame"], None, None) for entry in self.interface[side]
            )
            for side in ("inputs", "outputs")
        )
        return Counters(None, None, inputs, outputs)

    def clear_counters(self) -> None:
        """Count anew."""
        self._frames = 0

    def close(self) -> None:
        """End the simulation and removes its files."""
        self.reset()
        self._scratch.cleanup()
