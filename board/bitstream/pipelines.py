"""The pipelines that an HLS tool made of a design's loops, as its reports give them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass

from muxflow.dataflow.limits import MOST_FIGURE

STYLE = re.compile(r"\b(stp|frp|flp)\b")


@dataclass(frozen=True)
class Pipeline:
    """A pipelined loop: its module, its name, initiation interval and depth in cycles.

    `trips`: iterations of a call, None where the report gives no single number. `style`: "flp" or "frp", which go on while
    a beat is missing, "stp", which stands still, or "" where the report does not say: versions before 2023
    write "yes" and "no" only, later ones name the style of a module that is one loop.
    """

    module: str
    loop: str
    interval: int
    depth: int
    trips: int | None
    style: str

    @property
    def name(self) -> str:
        """Module and loop; the loop alone in a report of one module that does not give its name."""
        return f"{self.module}/{self.loop}" if self.module else self.loop


def pipelines_of(report: ElementTree.Element) -> tuple[Pipeline, ...]:
    """List the pipelined loops of all modules of a `csynth.xml`, or of the one of a `<module>_csynth.xml`, by name."""
    return tuple(sorted(set(_pipelines(report)), key=lambda one: (one.name, one.interval)))


def _pipelines(report: ElementTree.Element) -> Iterator[Pipeline]:
    for module in report.iter():
        name = _text(module, "Name", "UserAssignments/TopModelName")
        for summary in module.findall("PerformanceEstimates/SummaryOfLoopLatency"):
            estimates = "PerformanceEstimates/"
            kind = _text(module, f"{estimates}PipelineType", f"{estimates}SummaryOfOverallLatency/PipelineType")
            for loop in summary.iter():
                interval, depth = whole(_text(loop, "PipelineII")), whole(_text(loop, "PipelineDepth"))
                # A loop that is not pipelined has a depth, which may be a range, and no interval.
                if interval is not None and depth is not None:
                    style = STYLE.search(_text(loop, "PipelineType")) or STYLE.search(kind)
                    trips = whole(_text(loop, "TripCount"))
                    yield Pipeline(name, loop.tag, interval, depth, trips, style[0] if style else "")


def whole(text: str) -> int | None:
    """Read a count of a report; None for what is no whole number (`undef`, `?`, `-`, a range) or more than MOST_FIGURE."""
    if not re.fullmatch("[0-9]{1,19}", text):
        return None
    return value if (value := int(text)) <= MOST_FIGURE else None


def _text(element: ElementTree.Element, *paths: str) -> str:
    return next((found.strip() for path in paths if (found := element.findtext(path))), "")
