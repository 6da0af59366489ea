"""What the driver answers."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import AcceleratorError

MEASURED_FILE = "measured.json"
"""What `Measurement.record` writes; `muxflow report` reads it in a project or its deploy folder."""
CLOCK_TOLERANCE = 0.01
"""Share by which a measured clock may differ: the measurement itself is good to some tenths of a per cent."""


def check_folder(folder: Path) -> None:
    """Raise AcceleratorError, before anything is measured, where a folder to keep the measurement in is not there."""
    try:
        there = folder.is_dir()
    except OSError:  # a name that the system does not take
        there = False
    if not there:
        raise AcceleratorError(f"{folder}: no such folder; give one to keep the measurement in")


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
    `latency_cycles`: of that image inside the accelerator, by the stream monitor; None in the emulator. `measured_on`:
    "board" or "emulator" (then a figure of the simulation, not of hardware). `nominal_clock_mhz`: what the design asks for;
    `clock_mhz`: measured by the stream monitor, None in the emulator.
    """

    images: int
    frames_per_second: float
    packed_frames_per_second: float
    one_image_latency_seconds: float
    latency_cycles: int | None
    measured_on: str
    nominal_clock_mhz: float
    clock_mhz: float | None

    @property
    def other_clock(self) -> bool:
        """Whether the board runs another clock than the design asks for: by more than CLOCK_TOLERANCE."""
        if self.clock_mhz is None:
            return False
        return abs(self.clock_mhz - self.nominal_clock_mhz) > CLOCK_TOLERANCE * self.nominal_clock_mhz

    @property
    def accelerator_latency_seconds(self) -> float | None:
        """Latency inside the accelerator, at the measured clock where that is not the design's; None in the emulator."""
        if self.latency_cycles is None:
            return None
        real = self.clock_mhz if self.other_clock and self.clock_mhz else self.nominal_clock_mhz
        return self.latency_cycles / (real * 1e6)

    def record(self, folder: Path, digest: str) -> Path:
        """Write the measurement into a folder, with the digest of the sources that were measured, and give the file.

        One that is there is replaced when the new one is whole. Raises AcceleratorError where it cannot be written.
        """
        file, beside = folder / MEASURED_FILE, folder / f".{MEASURED_FILE}.{os.getpid()}"
        try:
            try:
                with beside.open("x") as opened:  # through no link
                    opened.write(json.dumps({"digest": digest, **asdict(self)}, indent=2, sort_keys=True) + "\n")
                beside.replace(file)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise AcceleratorError(f"{file}: cannot be written ({error.strerror}); the measurement is lost") from error
        return file

    def __str__(self) -> str:
        inside = self.accelerator_latency_seconds
        lines = [
            f"frame rate, pipelined over {self.images} images: {self.frames_per_second:,.1f} a second",
            f"frame rate with packing: {self.packed_frames_per_second:,.1f} a second",
            f"latency of one image, seen by the host: {self.one_image_latency_seconds * 1e3:.3f} ms",
        ]
        if inside is not None:
            lines.append(f"latency of one image, in the accelerator: {inside * 1e3:.3f} ms")
        if self.clock_mhz is not None:
            lines.append(f"clock: {self.clock_mhz:.2f} MHz measured, {self.nominal_clock_mhz:g} MHz asked for")
        if self.other_clock:
            lines.append(
                f"WARNING: the clocks differ by more than {CLOCK_TOLERANCE:.0%}. Slower: every rate is lower in proportion. "
                "Faster: timing may not be met and results be wrong. Is the .hwh that of this .bit, and has nothing else set "
                "the clocks?"
            )
        return "\n".join(lines) + f"\n(measured on the {self.measured_on})"
