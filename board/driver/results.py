"""What the driver answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamCounters:
    """One stream since the counters were cleared.

    `stalls`: cycles in which the sender had a word and the receiver did not take it; `idle`: cycles in which the receiver
    could take a word and the sender had none. Both are None in the emulator, which has no clock.
    """

    frames: int
    beats: int
    stalls: int | None
    idle: int | None


@dataclass(frozen=True)
class Counters:
    """What the stream monitors counted: `inputs` is what the accelerator takes, `outputs` what it gives, in order.

    `cycles`: clock cycles since the counters were cleared. `latency_cycles`: of the last frame, from its first input
    word to its last output word; with several ports the longest of input i to output i. None in the emulator, the
    latency also where it is not known.
    """

    cycles: int | None
    latency_cycles: int | None
    inputs: tuple[StreamCounters, ...]
    outputs: tuple[StreamCounters, ...]


@dataclass(frozen=True)
class Measurement:
    """How fast the accelerator is, and how that was found.

    `frames_per_second`: pipelined, `images` frames one after the other, packed beforehand.
    `packed_frames_per_second`: the same with packing and unpacking on the processor.
    `one_image_latency_seconds`: a transfer of one image as the host sees it, median of several.
    `accelerator_latency_seconds`: of that image inside the accelerator, by the stream monitor's cycles at the design's
    clock; None in the emulator. `measured_on`: "board" or "emulator" (then a figure of the simulation, not of hardware).
    """

    images: int
    frames_per_second: float
    packed_frames_per_second: float
    one_image_latency_seconds: float
    accelerator_latency_seconds: float | None
    measured_on: str

    def __str__(self) -> str:
        inside = self.accelerator_latency_seconds
        lines = [
            f"frame rate, pipelined over {self.images} images: {self.frames_per_second:,.1f} a second",
            f"frame rate with packing: {self.packed_frames_per_second:,.1f} a second",
            f"latency of one image, seen by the host: {self.one_image_latency_seconds * 1e3:.3f} ms",
        ]
        if inside is not None:
            lines.append(f"latency of one image, in the accelerator: {inside * 1e3:.3f} ms")
        return "\n".join(lines) + f"\n(measured on the {self.measured_on})"
