"""The hardware that the driver runs: overlay, AXI DMAs, contiguous buffers, stream monitors, by PYNQ."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Sequence

import numpy as np

from . import registers as r
from .errors import AcceleratorError
from .results import Counters, StreamCounters

if TYPE_CHECKING:
    from .interface import Interface, Seed, StreamPort
    from .packing import Words

RESET_SECONDS = 1.0
"""A DMA channel that is not out of reset by then is not there."""

POLL_SECONDS = 50e-6
"""Between two looks at the DMAs once a transfer takes longer than a thread's slice."""

BROKEN = r.DMA_HALTED
for _bit in r.DMA_ERRORS:
    BROKEN |= _bit


ANOTHERS = "copy the whole deploy folder again: the overlay is not one that `muxflow bitstream` made"

LOADED_BYTES = 1 << 20
"""Bytes of weights in one transfer, at most."""


@dataclass(frozen=True)
class DmaChannel:
    """A channel of a DMA; `base`: of its registers."""

    title: str
    base: int
    dma: Any

    def read(self, offset: int) -> int:
        """Read one of the channel's registers."""
        return int(self.dma.read(self.base + offset))

    def write(self, offset: int, value: int) -> None:
        """Write one of the channel's registers."""
        self.dma.write(self.base + offset, value)

    def reset(self) -> None:
        """Reset the channel and let it run; raises AcceleratorError when it does not come out of reset."""
        self.write(r.DMA_CONTROL, r.DMA_RESET)
        deadline = time.perf_counter() + RESET_SECONDS
        while self.read(r.DMA_CONTROL) & r.DMA_RESET:
            if time.perf_counter() > deadline:
                raise AcceleratorError(f"{self.title} does not come out of reset; is the clock of the overlay running?")
        self.write(r.DMA_CONTROL, r.DMA_RUN)

    def transfer(self, buffer: Any, words: int) -> None:
        """Start a transfer of words to or from a buffer."""
        address = buffer.device_address
        self.write(r.DMA_ADDRESS, address & 0xFFFFFFFF)
        self.write(r.DMA_ADDRESS_HIGH, address >> 32)
        # The length comes last: it starts the channel.
        self.write(r.DMA_LENGTH, 8 * words)


@dataclass(frozen=True)
class Channel(DmaChannel):
    """The channel that carries one port, with the monitor on its way and a buffer a slot.

    `stream`: "input" or "output", as the monitor's registers call it.
    """

    port: StreamPort
    stream: str
    monitor: Any
    buffers: tuple[Any, Any]

    def start(self, slot: int, frames: int) -> None:
        """Start a transfer between the slot's buffer and the port."""
        self.transfer(self.buffers[slot], frames * self.port.words)

    def counters(self) -> StreamCounters:
        """Read what the monitor counted of this port."""
        kinds = ("frames", "beats", "stalls", "idle")
        return StreamCounters(*(_counter(self.monitor, f"{self.stream}_{kind}") for kind in kinds))


def _counter(monitor: Any, name: str) -> int:
    low = monitor.read(r.OFFSETS[name])
    return int(low + (monitor.read(r.OFFSETS[name] + 4) << 32))


class PynqBackend:
    """The accelerator on a board that runs PYNQ.

    The overlay has the accelerator `accelerator` and, for input i and output i, an AXI DMA in direct register mode and a
    stream monitor: `dma` and `monitor`, then `dma_1` and `monitor_1`, and so on. A DMA whose input or output is missing
    has the other channel only. The registers are used as PG021 gives them, so that a transfer can be timed out and its
    status bits be read; PYNQ's own channel objects wait for ever.
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
        remedy = "run as root (sudo -E), on the board that the overlay was made for, with the whole deploy folder"
        with _telling(f"{file}: the overlay cannot be loaded", remedy):
            self._overlay = pynq.Overlay(str(file))
        pairs = [
            "" if not number else f"_{number}" for number in range(max(len(interface.inputs), len(interface.outputs)))
        ]
        self._dmas = [self._cell(f"dma{suffix}") for suffix in pairs]
        self._monitors = [self._cell(f"monitor{suffix}") for suffix in pairs]
        for monitor in self._monitors:
            with _telling(f"{file}: its stream monitor cannot be read", ANOTHERS):
                _check_monitor(monitor, file)

        def channels(ports: Sequence[StreamPort], title: str, stream: str, base: int) -> list[Channel]:
            made = []
            for port, suffix, dma, monitor in zip(ports, pairs, self._dmas, self._monitors):
                name = f"DMA {title}" if len(pairs) == 1 else f"DMA dma{suffix} {title}"
                buffers = self._buffer(frames * port.words), self._buffer(frames * port.words)
                made.append(Channel(name, base, dma, port, stream, monitor, buffers))
            return made

        try:
            self._sends = channels(interface.inputs, "send (MM2S)", "input", r.DMA_SEND)
            self._receives = channels(interface.outputs, "receive (S2MM)", "output", r.DMA_RECEIVE)
            self._channels = [*self._sends, *self._receives]
            self._load_send, self._load_receive = self._load_channels(interface)
            with _telling(f"{file}: its DMAs cannot be set up", ANOTHERS):
                self._set_up()
        except BaseException:
            self.close()
            raise

    def _load_channels(self, interface: Interface) -> tuple[list[DmaChannel], list[DmaChannel]]:
        """Find the DMA that carries weights, whose words no monitor counts: a channel each way, none where none are loaded."""
        if interface.weights is None:
            return [], []
        dma = self._cell("dma_weights")
        self._load_buffer = self._buffer(min(interface.weights.words + 1, LOADED_BYTES // 8))
        self._check_buffer = self._buffer(1)
        sides = ("send (MM2S)", r.DMA_SEND), ("receive (S2MM)", r.DMA_RECEIVE)
        send, receive = (DmaChannel(f"DMA dma_weights {title}", base, dma) for title, base in sides)
        return [send], [receive]

    def load_weights(self, words: Words, seconds: float) -> int:
        (send,), (receive,) = self._load_send, self._load_receive
        self._check_buffer.flush()
        receive.transfer(self._check_buffer, 1)
        # The last word comes back as the checksum.
        whole = np.append(words, np.uint64(0))
        size = len(self._load_buffer)
        deadline = time.perf_counter() + seconds
        for first in range(0, len(whole), size):
            part = whole[first : first + size]
            self._load_buffer[: len(part)] = part
            self._load_buffer.flush()
            send.transfer(self._load_buffer, len(part))
            self._await_load(send, deadline)
        self._await_load(receive, deadline)
        self._check_buffer.invalidate()
        return int(self._check_buffer[0])

    def _await_load(self, channel: DmaChannel, deadline: float) -> None:
        """Await the end of a channel's transfer; raises AcceleratorError where it fails or takes too long."""
        while True:
            late = time.perf_counter() > deadline
            state = channel.read(r.DMA_STATUS)
            if state & r.DMA_IDLE and not state & BROKEN:
                return
            if state & BROKEN or late:
                what = "the transfer failed" if state & BROKEN else "no answer in time"
                status = r.describe_status(channel.title, state)
                raise AcceleratorError(
                    f"{self._interface.name}: weights: {what}; the overlay is loaded anew\n  {status}"
                )

    def _cell(self, name: str) -> Any:
        try:
            return getattr(self._overlay, name)
        except AttributeError as error:
            raise AcceleratorError(f"the overlay has no {name!r}; it was not made by `muxflow bitstream`") from error

    def _buffer(self, words: int) -> Any:
        import pynq

        with _telling(f"no contiguous memory for {8 * words} bytes", "use a smaller batch, or restart the board"):
            self._buffers.append(pynq.allocate(shape=(words,), dtype=np.uint64))
        return self._buffers[-1]

    def _set_up(self) -> None:
        """Bring DMAs, monitors and accelerator from their reset state to work."""
        for channel in (*self._channels, *self._load_send, *self._load_receive):
            channel.reset()
        for channel in self._sends:
            channel.monitor.write(r.OFFSETS["input_words"], channel.port.words)
        self.clear_counters()
        for seed, cells in list(self._seeds.values()):
            self.write_seed(seed, cells)
        if self._interface.control == "s_axilite":
            self._cell("accelerator").write(r.ACCELERATOR_CONTROL, r.ACCELERATOR_START)

    def load(self, slot: int, words: Sequence[Words]) -> None:
        for channel, one in zip(self._sends, words):
            channel.buffers[slot][: one.size] = one.reshape(-1)
        self._loaded[slot] = len(words[0])

    def start(self, slot: int) -> None:
        frames = self._loaded[slot]
        for channel in self._channels:
            # Of an output too: nothing of the processor's cache may be written over what the DMA writes.
            channel.buffers[slot].flush()
        # Every output can be received before the first word is sent.
        for channel in self._receives:
            channel.monitor.write(r.OFFSETS["frames_per_transfer"], frames)
            channel.start(slot, frames)
        for channel in self._sends:
            channel.start(slot, frames)

    def wait(self, slot: int, seconds: float) -> tuple[Words, ...]:
        started = time.perf_counter()
        while True:
            # Time before status: a transfer that was done in time is not given up because this thread slept.
            waited = time.perf_counter() - started
            states = [channel.read(r.DMA_STATUS) for channel in self._channels]
            if any(state & BROKEN for state in states):
                raise self._failure(slot, states, "the transfer failed")
            if all(state & r.DMA_IDLE for state in states):
                break
            if waited > seconds:
                raise self._failure(slot, states, f"no answer within {seconds:g} s")
            if waited > POLL_SECONDS:
                time.sleep(POLL_SECONDS)
        return tuple(self._received(channel, slot, states) for channel in self._receives)

    def _received(self, channel: Channel, slot: int, states: list[int]) -> Words:
        """Return what a channel received in a transfer that has ended."""
        frames = self._loaded[slot]
        words = frames * channel.port.words
        received = channel.read(r.DMA_LENGTH)
        if received != 8 * words:
            where = "" if len(self._receives) == 1 else f" of output {channel.port.name}"
            what = f"the transfer{where} was cut short: {received} of {8 * words} bytes came"
            raise self._failure(slot, states, what)
        buffer = channel.buffers[slot]
        buffer.invalidate()
        view: Words = np.asarray(buffer)[:words].reshape(frames, -1)
        return view

    def _failure(self, slot: int, states: list[int], what: str) -> AcceleratorError:
        """Say in words what is known of a failed transfer."""
        frames = self._loaded[slot]

        def listed(channels: list[Channel], numbers: list[int]) -> str:
            if len(channels) == 1:
                return str(numbers[0])
            return ", ".join(f"{number} of {channel.port.name}" for channel, number in zip(channels, numbers))

        counted, wanted = [], []
        for channels in (self._sends, self._receives):
            counted.append(listed(channels, [channel.counters().beats for channel in channels]))
            wanted.append(listed(channels, [frames * channel.port.words for channel in channels]))
        lines = [r.describe_status(channel.title, state) for channel, state in zip(self._channels, states)]
        lines.append(
            f"since the counters were cleared the accelerator took {counted[0]} words and gave {counted[1]}; this transfer "
            f"has {wanted[0]} in and {wanted[1]} out"
        )
        return AcceleratorError(f"{self._interface.name}: {what}; the overlay is loaded anew\n  " + "\n  ".join(lines))

    def reset(self) -> None:
        # The DMAs first: they must not write while the logic around them is replaced.
        for channel in (*self._channels, *self._load_send, *self._load_receive):
            channel.write(r.DMA_CONTROL, r.DMA_RESET)
        with _telling("the overlay cannot be loaded anew", "restart the board"):
            self._overlay.download()
        self._set_up()

    def write_seed(self, seed: Seed, cells: tuple[int, ...]) -> None:
        self._seeds[seed.node] = (seed, cells)
        self._write(seed, cells)

    def write_state(self, state: Seed, cells: tuple[int, ...]) -> None:
        self._write(state, cells)

    def _write(self, seed: Seed, cells: tuple[int, ...]) -> None:
        accelerator = self._cell("accelerator")
        for index, word in enumerate(seed.words(cells)):
            accelerator.write(seed.offset + 4 * index, word)

    def counters(self) -> Counters:
        paired = self._monitors[: min(len(self._sends), len(self._receives))]
        latencies = [int(monitor.read(r.OFFSETS["latency"])) for monitor in paired]
        return Counters(
            _counter(self._monitors[0], "cycles"),
            None if r.NO_LATENCY in latencies else max(latencies),
            tuple(channel.counters() for channel in self._sends),
            tuple(channel.counters() for channel in self._receives),
        )

    def clear_counters(self) -> None:
        for monitor in self._monitors:
            monitor.write(r.OFFSETS["control"], r.CLEAR)

    def close(self) -> None:
        for buffer in self._buffers:
            buffer.freebuffer()
        self._buffers = []


@contextmanager
def _telling(what: str, remedy: str) -> Iterator[None]:
    """Raise AcceleratorError for any error of PYNQ's in the block: it has none of its own, and takes many of Python's."""
    try:
        yield
    except AcceleratorError:
        raise
    except Exception as error:
        raise AcceleratorError(f"{what} ({type(error).__name__}: {error}); {remedy}") from error


def _check_monitor(monitor: Any, file: Path) -> None:
    found = monitor.read(r.OFFSETS["identification"]), monitor.read(r.OFFSETS["version"])
    if found != (r.MONITOR_IDENTIFICATION, r.MONITOR_VERSION):
        raise AcceleratorError(
            f"{file}: its stream monitor says 0x{found[0]:08x} version {found[1]}; expected "
            f"0x{r.MONITOR_IDENTIFICATION:08x} version {r.MONITOR_VERSION}. Bitstream and driver are of different versions "
            "of Muxflow: copy the whole deploy folder"
        )
