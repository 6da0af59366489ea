"""What each stage said of a design: proofs, estimates, vendor tools, the board; and what did not run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from muxflow.dataflow.quantities import counted

State = Literal["done", "not run", "stale", "unfinished"]
"""Of a stage; `stale`: it ran, and the sources have changed since; `unfinished`: of a run that has not ended."""

ESTIMATE, SYNTHESISED, COSIMULATED, IMPLEMENTED, SYSTEM = (
    "estimate",
    "synthesised",
    "co-simulated",
    "implemented",
    "implemented, all",
)
STAGES = (ESTIMATE, SYNTHESISED, COSIMULATED, IMPLEMENTED, SYSTEM)
"""The stages of a report in order; the last one counts DMA, monitor and interconnect too."""


CLOCK_TOLERANCE = 0.01
"""Share by which a measured clock may differ, as the driver has it."""

WORST_FIRST = ("differs", "stale", "equal but for ties", "equal")
"""The outcomes of rungs that have run."""


@dataclass(frozen=True)
class Rung:
    """One rung of the proof ladder: what was compared with the graph, on how many images, and the outcome.

    `status`: "equal", "equal but for ties", "differs", "stale" (the sources have changed since) or "not run"; `detail`:
    what was compared, where it differs, or why it was not run.
    """

    title: str
    status: str
    images: int
    detail: str


@dataclass(frozen=True)
class Accuracy:
    """Right answers of the C simulation (or the graph) on a named split, "" for a file that is none.

    `output`: whose class was counted, named where several outputs say one. `digest`: of the images and labels of a file, which
    its name does not tell from others; "" where it is not known.
    """

    dataset: str
    split: str
    images: int
    correct: int
    digest: str = ""
    output: str = ""

    @property
    def source(self) -> str:
        """Data set, the split where it has one, the output where it is one of several."""
        parts = (self.dataset, self.split and f"{self.split} split", self.output and f"output {self.output}")
        return ", ".join(filter(None, parts))

    @property
    def basis(self) -> str:
        """What an accuracy is of: data set, split, number of images, the digest of a file's."""
        digest = f", digest {self.digest}" if self.digest else ""
        return f"{self.source}, {counted(self.images, 'image')}{digest}"

    @property
    def share(self) -> float:
        """Accuracy, 0..1."""
        return self.correct / max(1, self.images)


@dataclass(frozen=True)
class Stage:
    """What one stage says of the accelerator.

    `name`: one of STAGES; `tool`: with its version; `used`: by resource, empty where the stage counts none. `interval`,
    `latency`: (least, most) cycles; `period_ns`: the clock period that it expects or reached, `slack_ns`: what is left of the
    one asked for, negative where it is not met. `pipelines`: their styles, in words. `detail`: why it has not run.
    """

    name: str
    state: State
    tool: str = ""
    used: dict[str, int] = field(default_factory=dict)
    interval: tuple[int, int] | None = None
    latency: tuple[int, int] | None = None
    period_ns: float | None = None
    slack_ns: float | None = None
    pipelines: str = ""
    detail: str = ""

    @property
    def title(self) -> str:
        """The stage, with its tool where that is known."""
        name, _, scope = self.name.partition(", ")
        return f"{name}{f' with {self.tool}' if self.tool else ''}{f': {scope}' if scope else ''}"

    @property
    def counts(self) -> bool:
        """Whether it says what the design takes, of the sources as they are."""
        return self.state == "done" and bool(self.used)


@dataclass(frozen=True)
class Power:
    """Watts of the whole chip as Vivado's report_power estimates them after implementation.

    `confidence`: Vivado's own word, low without switching activity; `state`: stale where the sources have changed since.
    """

    total: float
    dynamic: float
    static: float
    confidence: str
    tool: str
    state: State = "done"


@dataclass(frozen=True)
class Measured:
    """What the driver measured: `measured_on` "board", or "emulator", which is a simulation on this host.

    `latency_seconds`: of one image, as the host sees it; `latency_cycles`: inside the accelerator, None where not known.
    """

    measured_on: str
    images: int
    frames_per_second: float
    packed_frames_per_second: float
    latency_seconds: float
    latency_cycles: int | None
    clock_mhz: float | None
    state: State = "done"

    def other_clock(self, nominal_mhz: float) -> bool:
        """Say whether the clock that was measured is not the one that the design asks for."""
        return self.clock_mhz is not None and abs(self.clock_mhz - nominal_mhz) > CLOCK_TOLERANCE * nominal_mhz


@dataclass(frozen=True)
class Provenance:
    """Where a report comes from.

    `host`: system and machine; `tools`: versions by name; `revision`: of Muxflow's checkout, "" for an installed one;
    `digest`: of the project's sources, "" where there is no project; `commands`: what gives it again.
    """

    host: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    revision: str = ""
    digest: str = ""
    commands: tuple[str, ...] = ()
