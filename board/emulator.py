"""The C simulation behind the driver's class: the same calls as on the board, on any machine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muxflow.board.deploy import interface_entry, self_test_set
from muxflow.board.driver.results import Counters, StreamCounters
from muxflow.dataflow.errors import MuxflowError
from muxflow.hls.vitis.csim import compile_csim, seed_options
from muxflow.hls.vitis.project import load_project

if TYPE_CHECKING:
    from muxflow.board.driver.interface import Seed
    from muxflow.board.driver.packing import Words


class Emulator:
    """An HLS project as a backend of `Accelerator`: a slot's words go through one run of the compiled simulation.

    `interface`, `self_test`: what the deploy folder would hold. `error`: the exception type of the driver that asks,
    which may be a copy of Muxflow's own; it is raised with the text of any MuxflowError.
    Only frames and words are counted: the C simulation has no clock.
    """

    source = "emulator"

    def __init__(self, path: Path, error: Callable[[str], Exception]) -> None:
        self._error = error
        try:
            self._project = load_project(path)
            self.interface = interface_entry(self._project)
            self.self_test = self_test_set(self._project)
            self._executable, _ = compile_csim(self._project)
        except MuxflowError as problem:
            raise error(str(problem)) from problem
        self._seeds: dict[str, tuple[int, ...]] = {}
        self._loaded = [0, 0]
        self._frames = 0
        self._run: subprocess.Popen[str] | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="muxflow.")

    def _file(self, name: str, slot: int) -> Path:
        return Path(self._scratch.name) / f"{name}{slot}"

    def load(self, slot: int, words: Words) -> None:
        """Writes the slot's input file."""
        self._loaded[slot] = len(words)
        self._file("input", slot).write_bytes(words.tobytes())

    def start(self, slot: int) -> None:
        """Starts the simulation on the slot's input file."""
        command = [str(self._executable), str(self._loaded[slot])]
        command += ["--in", "input", str(self._file("input", slot)), "--out", "output", str(self._file("output", slot))]
        command += seed_options(self._project, self._seeds)
        self._run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def wait(self, slot: int, seconds: float) -> Words:
        """Output words of the slot, once the simulation has ended."""
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
        if run.returncode:
            raise self._error(
                f"{self.interface['name']}: the simulation ended with code {run.returncode}: {log.strip()}"
            )
        self._frames += frames
        return np.fromfile(self._file("output", slot), "<u8").reshape(frames, -1)

    def reset(self) -> None:
        """Ends a simulation that runs."""
        run, self._run = self._run, None
        if run is not None:
            run.kill()
            run.communicate()

    def write_seed(self, seed: Seed, cells: tuple[int, ...]) -> None:
        """The next simulation starts that generator there."""
        self._seeds[seed.node] = cells

    def counters(self) -> Counters:
        """Frames and words; nothing that needs a clock."""
        streams = [
            StreamCounters(self._frames, self._frames * self.interface[port]["words_per_frame"], None, None)
            for port in ("input", "output")
        ]
        return Counters(None, None, *streams)

    def clear_counters(self) -> None:
        """Counts anew."""
        self._frames = 0

    def close(self) -> None:
        """Ends the simulation and removes its files."""
        self.reset()
        self._scratch.cleanup()
