"""The drawing of the dataflow: a band a layer, boxes for nodes, lines for FIFOs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2

from muxflow.dataflow.fit.folded import FIFO_DEPTH
from muxflow.dataflow.quantities import count, rounded
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import FifoRow, LayerRow

BOX, HEIGHT = 104, 38
"""Width and height of a node's box, in units of the drawing as all lengths here."""
PITCH, LINE = 204, 50
"""From one column to the next, from one line of boxes to the next."""
LANE, TRACK = 15, 9
"""From one line across to the next in the space between bands; from one line down to the next at the left."""
HEAD, FOOT, SIDE = 26, 10, 44
"""Space in a band above its boxes, below them, and to both sides of them."""
LETTER, SMALL = 6.4, 5.0
"""Width of a letter of a band's title and of a label."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A node: its number among the report's nodes, where its box is, what it does; `load`: of the slowest one's cycles."""

    number: int
    x: float
    y: float
    name: str
    kind: str
    words: str
    load: float
    slow: bool
    in_place: bool


@dataclass(frozen=True)
class Wire:
    """A FIFO: the line, its thickness, its kind, a label, what is known of it; numbers of the nodes, "host" at the ends."""

    path: str
    arrow: str
    thick: float
    look: str
    label: str
    label_at: Point
    anchor: str
    title: str
    writer: str
    reader: str


@dataclass(frozen=True)
class Band:
    """A layer: from where to where it goes in the drawing, its frame, title, boxes, and all that passes."""

    top: float
    height: float
    frame: tuple[float, float, float, float]
    name: str
    title: str
    slow: bool
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


@dataclass(frozen=True)
class Drawing:
    """All bands, one below the other, the last one without a layer: what leaves the design."""

    width: float
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class _Link:
    """A FIFO between nodes by number, None for the host; `lanes`: spaces between bands in which it runs across."""

    fifo: FifoRow
    writer: int | None
    reader: int | None
    lanes: tuple[int, ...]


@dataclass(frozen=True)
class _Layout:
    """Places of nodes as (band, column, line), lines of each band, lanes of each space, and the tracks at the left."""

    places: Mapping[int, tuple[int, int, int]]
    lines: Sequence[int]
    lanes: Mapping[tuple[int, int], int]
    spaces: Sequence[int]
    tracks: Mapping[int, int]

    @property
    def left(self) -> float:
        """Where frames begin: right of all tracks."""
        return 16 + TRACK * (1 + max(self.tracks.values(), default=-1))

    def top(self, band: int) -> float:
        """Give where the space above a band begins."""
        return sum(self.height(one) for one in range(band))

    def space(self, band: int) -> float:
        """Give the height of the space above a band."""
        return 8 + LANE * self.spaces[band]

    def height(self, band: int) -> float:
        """Give the height of a band with the space above it."""
        return self.space(band) + (HEAD + LINE * self.lines[band] + FOOT if band < len(self.lines) else 8)

    def lane(self, link: int, space: int) -> float:
        """Give the height of a link's line across in a space."""
        return self.top(space) + 14 + LANE * self.lanes[link, space]

    def corner(self, node: int) -> Point:
        """Give where the box of a node is."""
        band, column, line = self.places[node]
        return self.left + SIDE + PITCH * column, self.top(band) + self.space(band) + HEAD + LINE * line


def draw(report: Report) -> Drawing:
    """Lay out the nodes in bands by layer, and draw every FIFO from its writer to its reader."""
    numbers = {row.name: number for number, row in enumerate(report.nodes)}
    members = [[numbers[name] for name in layer.nodes if name in numbers] for layer in report.layers]
    ends = [(fifo, numbers.get(fifo.writer), numbers.get(fifo.reader)) for fifo in report.fifos]
    pairs = [(writer, reader) for _, writer, reader in ends if writer is not None and reader is not None]
    places: dict[int, tuple[int, int, int]] = {}
    lines = []
    for band, nodes in enumerate(members):
        leader = numbers.get(report.layers[band].name)
        found = _arrange(nodes, leader if leader in nodes else None, pairs)
        places |= {node: (band, *place) for node, place in found.items()}
        lines.append(1 + max((line for _, line in found.values()), default=0))
    links = []
    for fifo, *both in ends:
        writer, reader = (node if node in places else None for node in both)
        links.append(_Link(fifo, writer, reader, _lanes(places, len(members), writer, reader)))
    layout = _lay_out(places, lines, links)
    wires = _wires(report, layout, links)
    connected = {node for pair in pairs for node in pair}
    bands = []
    for band, (nodes, layer) in enumerate(zip(members, report.layers, strict=True)):
        boxes = tuple(_box(report, layout, node, node not in connected) for node in nodes)
        frame = _frame(layout, band, nodes, layer)
        slow = report.bottleneck in layer.nodes
        extent = layout.top(band), layout.height(band)
        bands.append(Band(*extent, frame, layer.name, _title(layer), slow, boxes, _passing(wires, band)))
    width = max((band.frame[0] + band.frame[2] for band in bands), default=0) + 16
    last = len(members)
    out = (layout.left, layout.top(last), 0.0, 0.0)
    bands.append(Band(layout.top(last), layout.height(last), out, "", "", False, (), _passing(wires, last)))
    return Drawing(width, tuple(bands))


def _passing(wires: Sequence[tuple[Wire, tuple[int, int]]], band: int) -> tuple[Wire, ...]:
    return tuple(wire for wire, (low, high) in wires if low <= band <= high)


def _arrange(nodes: Sequence[int], leader: int | None, pairs: Sequence[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Give nodes of a layer their column, after all that they read, and a line; what has no FIFO lies below the leader."""
    inside = [(writer, reader) for writer, reader in pairs if writer in nodes and reader in nodes and writer < reader]
    columns: dict[int, int] = {}
    for node in sorted(nodes):
        columns[node] = max((columns[writer] + 1 for writer, reader in inside if reader == node), default=0)
    read = {reader for _, reader in pairs}
    connected = read | {writer for writer, _ in pairs}
    for node in nodes:
        after = [columns[reader] for writer, reader in inside if writer == node]
        if node not in connected and leader is not None:
            columns[node] = columns[leader]
        elif after and node not in read:
            columns[node] = min(after) - 1  # a source of weights, beside what reads it
    used: Counter[int] = Counter()
    found = {}
    for node in sorted(nodes, key=lambda node: (node not in connected, node not in read, node)):
        found[node] = columns[node], used[columns[node]]
        used[columns[node]] += 1
    return found


def _lanes(
    places: Mapping[int, tuple[int, int, int]], last: int, writer: int | None, reader: int | None
) -> tuple[int, ...]:
    """Give the spaces in which a link runs across: none between neighbours, one to the next band, else two."""
    if writer is None and reader is None:
        return ()
    if writer is None or reader is None:
        return (last if reader is None else places[reader][0],)
    (start, before, _), (end, after, _) = places[writer], places[reader]
    if start == end:
        return () if before + 1 == after else (start + 1,)
    return (end,) if start + 1 == end else (start + 1, end)


def _lay_out(places: Mapping[int, tuple[int, int, int]], lines: Sequence[int], links: Sequence[_Link]) -> _Layout:
    """Give each link its own lane in every space where it runs across, and a track where it passes bands."""
    spaces = [0] * (len(lines) + 1)
    lanes = {}
    for number, link in enumerate(links):
        for space in link.lanes:
            lanes[number, space] = spaces[space]
            spaces[space] += 1
    tracks: dict[int, int] = {}
    taken: list[set[int]] = []
    for number, link in enumerate(links):
        if len(link.lanes) < 2:
            continue
        passed = set(range(min(link.lanes), max(link.lanes) + 1))
        track = next((one for one, met in enumerate(taken) if not met & passed), len(taken))
        taken.extend([set()] if track == len(taken) else [])
        taken[track] |= passed
        tracks[number] = track
    return _Layout(places, lines, lanes, spaces, tracks)


def _wires(report: Report, layout: _Layout, links: Sequence[_Link]) -> list[tuple[Wire, tuple[int, int]]]:
    """Draw every link, and say which bands it passes, with the spaces above them."""
    leaving: dict[int | None, list[int]] = {}
    coming: dict[int | None, list[int]] = {}
    for number, link in enumerate(links):
        leaving.setdefault(link.writer, []).append(number)
        coming.setdefault(link.reader, []).append(number)
    found = []
    for number, link in enumerate(links):
        if link.writer is None and link.reader is None:
            continue
        points = _points(layout, link, number, leaving, coming)
        bands = {layout.places[node][0] for node in (link.writer, link.reader) if node is not None} | set(link.lanes)
        found.append((_wire(report, link, points, bool(link.lanes)), (min(bands), max(bands))))
    return found


def _points(
    layout: _Layout,
    link: _Link,
    number: int,
    leaving: Mapping[int | None, Sequence[int]],
    coming: Mapping[int | None, Sequence[int]],
) -> list[Point]:
    """Give the corners of a link's way: out at the right of its writer, in at the left of its reader."""

    def port(node: int, among: Sequence[int]) -> tuple[float, int]:
        place = among.index(number)
        return layout.corner(node)[1] + HEIGHT * (place + 1) / (len(among) + 1), place

    start: list[Point] = []
    end: list[Point] = []
    if link.writer is not None:
        y, place = port(link.writer, leaving[link.writer])
        x = layout.corner(link.writer)[0] + BOX
        start = [(x, y), (x + 7 + 6 * place, y)]
    if link.reader is not None:
        y, place = port(link.reader, coming[link.reader])
        x = layout.corner(link.reader)[0]
        end = [(x - 12 - 6 * place, y), (x, y)]
    across = [layout.lane(number, space) for space in link.lanes]
    if not across:
        return [*start, (start[-1][0], end[-1][1]), end[-1]]
    edge = layout.left - 4
    start = start or [(edge, across[0])]
    end = end or [(edge, across[-1])]
    middle = [(start[-1][0], across[0])]
    if len(across) > 1:
        x = 10 + TRACK * layout.tracks[number]
        middle += [(x, across[0]), (x, across[1])]
    return [*start, *middle, (end[0][0], across[-1]), *end]


def _wire(report: Report, link: _Link, points: Sequence[Point], across: bool) -> Wire:
    """Draw a link: thickness by its width, label of width x depth and beats a cycle."""
    fifo = link.fifo
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    (before, _), (x, y) = points[-2:]
    back = -6 if before <= x else 6
    arrow = f"M{x:g} {y:g} l{back} -3.5 v7 z"
    beats = rounded(fifo.beats / report.interval)
    label = f"{fifo.width}b×{count(fifo.depth)} · {beats}"
    label = f"host → {label}" if link.writer is None else f"{label} → host" if link.reader is None else label
    at, anchor = _label_at(points, across, SMALL * len(label))
    title = (
        f"{fifo.writer} to {fifo.reader}: {fifo.kind}, {count(fifo.width)} bit, depth {count(fifo.depth)}, "
        f"{count(fifo.beats)} beats a frame, {beats} a cycle, {fifo.placement}"
    )
    look = "frame" if fifo.kind == "frame" else "deep" if fifo.depth > FIFO_DEPTH else "plain"
    ends = ("host" if node is None else str(node) for node in (link.writer, link.reader))
    thick = round(1 + log2(max(1, fifo.width)) / 3, 2)
    return Wire(path, arrow, thick, look, label, at, anchor, title, *ends)


def _label_at(points: Sequence[Point], across: bool, length: float) -> tuple[Point, str]:
    """Find a place for a label: above the longest line across in a space, right of a short one, or above the way in."""
    if not across:
        (x, y) = points[-1]
        return (x - 9, y - 4), "end"
    pairs = [(a, b) for a, b in pairwise(points) if a[1] == b[1]]
    a, b = max(pairs, key=lambda pair: abs(pair[0][0] - pair[1][0]))
    right = max(a[0], b[0])
    if abs(a[0] - b[0]) < length:
        return (right + 6, a[1] + 3), "start"
    return (right - 6, a[1] - 4), "end"


def _box(report: Report, layout: _Layout, node: int, in_place: bool) -> Box:
    row = report.nodes[node]
    load = row.cycles / max(1, report.slowest_cycles)
    slow = row.name == report.bottleneck
    return Box(node, *layout.corner(node), row.name, row.kind, row.parallel, min(1.0, round(load, 3)), slow, in_place)


def _title(layer: LayerRow) -> str:
    return f"{layer.title} → {layer.output}, {layer.fold}, {count(layer.cycles)} cycles"


def _frame(layout: _Layout, band: int, nodes: Sequence[int], layer: LayerRow) -> tuple[float, float, float, float]:
    """Give the frame of a layer: as wide as its boxes and its title need."""
    columns = 1 + max((layout.places[node][1] for node in nodes), default=0)
    letters = len(layer.name) * 1.1 + len(_title(layer)) + 3
    width = max(2 * SIDE + PITCH * (columns - 1) + BOX, LETTER * letters)
    height = HEAD + LINE * layout.lines[band] - LINE + HEIGHT + FOOT
    return layout.left, layout.top(band) + layout.space(band), round(width), height
