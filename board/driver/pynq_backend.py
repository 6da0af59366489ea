"""The hardware behind the driver: overlay, AXI DMA, contiguous buffers, stream monitor, by PYNQ."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import registers as r
from .errors import AcceleratorError
from .results import Counters, StreamCounters

if TYPE_CHECKING:
    from .interface import Interface, Seed
    from .packing import Words

RESET_SECONDS = 1.0
"""A DMA channel that is not out of reset by then is not there."""

POLL_SECONDS = 50e-6
"""Between two looks at the DMA once a transfer takes longer than a thread's slice."""

CHANNELS = (("DMA send (MM2S)", r.DMA_SEND), ("DMA receive (S2MM)", r.DMA_RECEIVE))


class PynqBackend:
    """The accelerator on a board that runs PYNQ.

    The overlay has an AXI DMA `dma` in direct register mode, the stream monitor `monitor` and the accelerator
    `accelerator`. The DMA's registers are used as PG021 gives them, so that a transfer can be timed out and its status
    bits be read; PYNQ's own channel objects wait for ever.
    """

    source = "board"

    def __init__(self, folder: Path, interface: Interface, frames: int) -> None:
        self._interface = interface
        self._seeds: dict[str, tuple[Seed, tuple[int, ...]]] = {}
        self._loaded = [0, 0]
        self._buffers: list[Any] = []
        file = folder / interface.bitstream
        for needed in (file, file.with_suffix(".hwh")):
            if not needed.is_file():
                raise AcceleratorError(
                    f"{needed}: no such file; `muxflow bitstream` makes it with the vendor's tools. Without it, "
                    "Accelerator.emulate(PROJECT) plays the accelerator"
                )
        try:
            import pynq
        except ImportError as error:
            raise AcceleratorError(
                f"pynq is not installed ({error}): this runs on a board with a PYNQ image, as root. Elsewhere use "
                "Accelerator.emulate(PROJECT)"
            ) from error
        self._overlay = pynq.Overlay(str(file))
        self._dma = self._cell("dma")
        self._monitor = self._cell("monitor")
        found = self._monitor.read(r.OFFSETS["identification"]), self._monitor.read(r.OFFSETS["version"])
        if found != (r.MONITOR_IDENTIFICATION, r.MONITOR_VERSION):
            raise AcceleratorError(
                f"{file}: its stream monitor says 0x{found[0]:08x} version {found[1]}; expected "
                f"0x{r.MONITOR_IDENTIFICATION:08x} version {r.MONITOR_VERSION}. Bitstream and driver are of different "
                "versions of Muxflow: copy the whole deploy folder"
            )
        try:
            for words in (interface.input.words, interface.output.words):
                for _ in range(2):
                    self._buffers.append(pynq.allocate(shape=(frames * words,), dtype=np.uint64))
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _cell(self, name: str) -> Any:
        try:
            return getattr(self._overlay, name)
        except AttributeError as error:
            raise AcceleratorError(f"the overlay has no {name!r}; it was not made by `muxflow bitstream`") from error

    def _set_up(self) -> None:
        """Brings DMA, monitor and accelerator from their reset state to work."""
        for name, base in CHANNELS:
            self._dma.write(base + r.DMA_CONTROL, r.DMA_RESET)
            deadline = time.perf_counter() + RESET_SECONDS
            while self._dma.read(base + r.DMA_CONTROL) & r.DMA_RESET:
                if time.perf_counter() > deadline:
                    raise AcceleratorError(f"{name} does not come out of reset; is the clock of the overlay running?")
            self._dma.write(base + r.DMA_CONTROL, r.DMA_RUN)
        self._monitor.write(r.OFFSETS["input_words"], self._interface.input.words)
        self.clear_counters()
        for seed, cells in list(self._seeds.values()):
            self.write_seed(seed, cells)
        if self._interface.control == "s_axilite":
            self._cell("accelerator").write(r.ACCELERATOR_CONTROL, r.ACCELERATOR_START)

    def load(self, slot: int, words: Words) -> None:
        self._buffers[slot][: words.size] = words.reshape(-1)
        self._loaded[slot] = len(words)

    def start(self, slot: int) -> None:
        frames = self._loaded[slot]
        source, target = self._buffers[slot], self._buffers[2 + slot]
        source.flush()
        # Nothing of the processor's cache may be written over what the DMA writes.
        target.flush()
        self._monitor.write(r.OFFSETS["frames_per_transfer"], frames)
        self._transfer(r.DMA_RECEIVE, target, frames * self._interface.output.words)
        self._transfer(r.DMA_SEND, source, frames * self._interface.input.words)

    def _transfer(self, base: int, buffer: Any, words: int) -> None:
        self._dma.write(base + r.DMA_ADDRESS, buffer.device_address & 0xFFFFFFFF)
        self._dma.write(base + r.DMA_ADDRESS_HIGH, buffer.device_address >> 32)
        # The length comes last: it starts the channel.
        self._dma.write(base + r.DMA_LENGTH, 8 * words)

    def wait(self, slot: int, seconds: float) -> Words:
        started = time.perf_counter()
        while True:
            # Time before status: a transfer that was done in time is not given up because this thread slept.
            waited = time.perf_counter() - started
            states = [self._dma.read(base + r.DMA_STATUS) for _, base in CHANNELS]
            broken = r.DMA_HALTED
            for bit in r.DMA_ERRORS:
                broken |= bit
            if any(state & broken for state in states):
                raise self._failure(slot, states, "the transfer failed")
            if all(state & r.DMA_IDLE for state in states):
                break
            if waited > seconds:
                raise self._failure(slot, states, f"no answer within {seconds:g} s")
            if waited > POLL_SECONDS:
                time.sleep(POLL_SECONDS)
        words = self._loaded[slot] * self._interface.output.words
        received = self._dma.read(r.DMA_RECEIVE + r.DMA_LENGTH)
        if received != 8 * words:
            raise self._failure(slot, states, f"the transfer was cut short: {received} of {8 * words} bytes came")
        target = self._buffers[2 + slot]
        target.invalidate()
        view: Words = np.asarray(target)[:words].reshape(self._loaded[slot], -1)
        return view

    def _failure(self, slot: int, states: list[int], what: str) -> AcceleratorError:
        """What is known of a failed transfer, in words."""
        interface, frames = self._interface, self._loaded[slot]
        lines = [r.describe_status(name, state) for (name, _), state in zip(CHANNELS, states)]
        counted = self.counters()
        lines.append(
            f"since the counters were cleared the accelerator took {counted.input.beats} words and gave "
            f"{counted.output.beats}; this transfer has {frames * interface.input.words} in and "
            f"{frames * interface.output.words} out"
        )
        return AcceleratorError(f"{interface.name}: {what}; the overlay is loaded anew\n  " + "\n  ".join(lines))

    def reset(self) -> None:
        # The DMA first: it must not write while the logic around it is replaced.
        for _, base in CHANNELS:
            self._dma.write(base + r.DMA_CONTROL, r.DMA_RESET)
        self._overlay.download()
        self._set_up()

    def write_seed(self, seed: Seed, cells: tuple[int, ...]) -> None:
        self._seeds[seed.node] = (seed, cells)
        accelerator = self._cell("accelerator")
        for index, word in enumerate(seed.words(cells)):
            accelerator.write(seed.offset + 4 * index, word)

    def _read(self, name: str) -> int:
        low = self._monitor.read(r.OFFSETS[name])
        return int(low + (self._monitor.read(r.OFFSETS[name] + 4) << 32))

    def counters(self) -> Counters:
        latency = int(self._monitor.read(r.OFFSETS["latency"]))
        streams = [
            StreamCounters(*(self._read(f"{stream}_{kind}") for kind in ("frames", "beats", "stalls", "idle")))
            for stream in ("input", "output")
        ]
        return Counters(self._read("cycles"), None if latency == r.NO_LATENCY else latency, *streams)

    def clear_counters(self) -> None:
        self._monitor.write(r.OFFSETS["control"], r.CLEAR)

    def close(self) -> None:
        for buffer in self._buffers:
            buffer.freebuffer()
        self._buffers = []
