"""What stops a design from being faster, and what would lift it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from muxflow.dataflow.fit.axi import AXI_WORD, axi_lanes, container_bits
from muxflow.dataflow.fit.binding import find_binding, joined
from muxflow.dataflow.fit.candidates import Group, tried_folds
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.fifo_sizing import MARGIN_SLACK
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.fit.goal import Goal
from muxflow.dataflow.fit.held import held_elements
from muxflow.dataflow.fit.implementation import Limits
from muxflow.dataflow.fit.solver import Solver
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import PARALLEL_LIMIT, Fold, Role
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.quantities import counted

IN_ULTRA_RAM = "weights in UltraRAM, loaded at run time (--weights loaded)"

ASKED = "what was asked for"


@dataclass(frozen=True)
class Ceiling:
    """What a faster design would meet: `where` (a node, a port, the budget), `why` it is in the way, what `lifts` it."""

    where: str
    why: str
    lifts: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}; lifted by {self.lifts}"


APART = Ceiling(
    "frames",
    "each begins when the one before has ended, as they are started over AXI-Lite and weights are generated or loaded",
    "--control ap_ctrl_none, or a higher --fps or shorter --latency-ms",
)
"""What stops a design whose frames do not overlap."""


def find_ceiling(design: Design) -> Ceiling:
    """Find what stops a design from being faster than its slowest node (estimates).

    In this order: frames that do not overlap, FIFOs that hold the pipeline up, a port of the host, a node whose every fold
    within the tools' limits is as slow, lanes that do not meet, the budget; none of them where faster folds fit it.
    """
    if design.apart is not None:
        return APART
    cycles = design.slowest_cycles
    if design.interval > cycles * MARGIN_SLACK:
        return _waiting(design, cycles)
    solver = Solver(unfolded(design.graph), design.folded.implementations, held_elements(design))
    if (limit := limit_of_folds(solver, cycles)) is not None:
        return limit
    if not solver.reaches(cycles - 1):
        why = f"no lanes of neighbours meet in less than {cycles:,} cycles a frame"
        return Ceiling("width converters", why, "channel counts that share factors")
    whole = design.device.allowance(design.utilisation.whole)
    binding = find_binding(solver, cycles - 1, design.allowance, whole)
    if binding is None:
        return _unused(design, cycles)
    used, most = dict(design.resources.items()), dict(design.allowance.items())
    amounts = joined((f"{used[name]:,} of {most[name]:,} {name}" for name in binding.names), "and")
    why = f"{amounts} that an estimate may come to, and less than {cycles:,} cycles a frame takes more{binding.more}"
    board = f"a larger share {binding.share} or board" if binding.share else "a larger board"
    stored = any(isinstance(node.op, RomWeights) and not node.op.loaded for node in design.graph.nodes)
    spare = "BRAM18" in binding.names and used["URAM"] < most["URAM"] and stored
    return Ceiling("budget", why, ", or ".join([board, *binding.fewer, *([IN_ULTRA_RAM] if spare else [])]))


def _waiting(design: Design, cycles: int) -> Ceiling:
    """Say why nodes wait for FIFOs: these are as shallow as was asked for, or frames are short beside the pipelines' fill."""
    waits = f"{design.interval:,} cycles a frame where the slowest node takes {cycles:,}"
    asked = design.asked
    if design.timing is not None and design.timing.style == "drained":
        why = f"they end a frame before they begin the next, {waits}"
        return Ceiling("pipelines of the tool", why, "a tool of other pipelines (--tool)")
    if asked is None:
        why = f"FIFOs are as shallow as it allows, or frames short beside the pipelines' fill: {waits}"
        return Ceiling(ASKED, why, "a higher --fps or a smaller --slowdown, where one was given")
    if asked.goal.fps is None and not asked.slowdown:
        why = f"frames are short beside it, {waits}, whatever FIFOs hold"
        return Ceiling("fill of the pipelines", why, "a faster clock")
    why = f"FIFOs are as shallow as it allows, {waits}"
    return Ceiling(ASKED, why, "a smaller --slowdown" if asked.goal.fps is None else "a higher --fps")


def _unused(design: Design, cycles: int) -> Ceiling:
    """Say why faster folds that fit the budget are not used: they were not asked for, or their FIFOs do not fit."""
    why = f"by estimate folds of less than {cycles:,} cycles a frame fit the budget"
    asked = design.asked
    if asked is None:
        given = "a higher --fps or a shorter --latency-ms where one was given, else more room for FIFOs (--bram, --lut)"
        return Ceiling(f"{ASKED}, or FIFOs", f"{why}, their FIFOs not counted", given)
    if asked.goal != Goal():
        return Ceiling(ASKED, why, "a shorter --latency-ms" if asked.goal.fps is None else "a higher --fps")
    return Ceiling("FIFOs", f"{why}, and not with what their FIFOs hold", "more room for FIFOs (--bram, --lut)")


def limit_of_folds(solver: Solver, cycles: int) -> Ceiling | None:
    """Find a port of the host, or a node, that takes so many cycles a frame whatever its folds; None where there is none."""
    if (port := _port(solver.graph, cycles)) is not None:
        return port
    slow = (group for group in solver.groups if min(one.cycles for one in group.candidates) >= cycles)
    return next((_exhausted(solver, group, cycles) for group in slow), None)


def _port(graph: Graph, cycles: int) -> Ceiling | None:
    """Find a port of the host that takes all of a frame's cycles."""
    for what, names in (("input", graph.inputs), ("output", graph.outputs)):
        for name in names:
            stream = graph.streams[name]
            lanes, bits = axi_lanes(stream), container_bits(stream)
            if stream.size // lanes >= cycles:
                most = AXI_WORD // bits
                each = f"{counted(lanes, 'element')} of {bits} bits a cycle of a port of {AXI_WORD} bits"
                if lanes < most:
                    each += f" (at most {most}, and only as many as divide the {counted(stream.size, 'element')} of a frame)"
                why = f"{each}, {counted(stream.size // lanes, 'cycle')} a frame"
                shorter = f"codes of at most {bits // 2} bits or " if bits > 8 and lanes == most else ""
                size = f"a smaller {what}" if lanes == most else f"an {what}"
                fitting = f" of a multiple of {most} elements" if most > 1 else ""
                fewer = f"{shorter}a faster clock, or {size}{fitting}"
                return Ceiling(f"{what} port {name}", why, "a faster clock" if cycles == 1 else fewer)
    return None


def _exhausted(solver: Solver, group: Group, cycles: int) -> Ceiling:
    """Say why no fold of a group is faster: its window, the tools' limits, or all that it can do at once."""
    best = min(group.candidates, key=lambda one: one.cycles)
    leader, fold = group.leader, best.fold
    pixels = max(stream.pixels for stream in solver.graph.ports(leader).inputs)
    less = "a smaller map (a stride or a pool before it)" if pixels > 1 else "fewer elements"
    smaller = f"a faster clock, or {'fewer steps' if _in_steps(solver.graph, leader) else less}"
    for node in group.members:
        ports = solver.graph.ports(node)
        if node.op.role is not Role.LAYOUT:
            continue
        beat = ports.inputs[0].with_beat(node.op.beats(ports, fold)[0][0])
        if beat.beats >= _cycles(solver, leader, fold):
            several = max(1, node.op.beat_pixels(ports, fold)[0][0])
            taken = "a pixel" if several == 1 else f"{several} pixels"
            why = (
                f"a window takes {taken} of its groups a cycle, {beat.beats:,} a frame, {cycles:,} cycles with its fill"
            )
            return Ceiling(node.name, why, smaller)
    limited = _limited(solver, group, cycles)
    if limited is not None:
        return limited
    vectors = solver.graph.ports(leader).outputs[0].pixels
    if 2 * fold.operations > PARALLEL_LIMIT and vectors < _cycles(solver, leader, fold):
        why = f"its fastest fold ({fold}) is at the limit of {PARALLEL_LIMIT:,} unrolled operations"
        return Ceiling(
            leader.name, f"{why}, {counted(best.cycles, 'cycle')} a frame", "a faster clock, or a narrower layer"
        )
    why = f"its fastest fold ({fold}) is used, {counted(best.cycles, 'cycle')} a frame: its parallelism is exhausted"
    return Ceiling(leader.name, why, smaller)


def _in_steps(graph: Graph, node: Node) -> bool:
    """Say whether a node's work is that of the steps of an LSTM: it is one, or computes on as many pixels beside one."""
    met, todo = {node.name}, [node]
    producers, readers = graph.producers(), graph.consumers()
    while todo:
        one = todo.pop()
        if isinstance(one.op, LstmCell):
            return True
        for name in (*one.inputs[:1], *one.outputs):
            if graph.streams[name].pixels != graph.streams[node.inputs[0]].pixels:
                continue
            beside = [*readers[name], *([producers[name]] if name in producers else [])]
            todo += [other for other in beside if other.name not in met]
            met.update(other.name for other in beside)
    return False


def _cycles(solver: Solver, node: Node, fold: Fold) -> int:
    found, ports = solver.implementations.of(node.op), solver.graph.ports(node)
    return found.access(node.op, ports, fold).trips * found.cost(node.op, ports, fold).interval


def _limited(solver: Solver, group: Group, cycles: int) -> Ceiling | None:
    """Find a faster fold of a leading node that only the tools' limits forbid."""
    node, limits = group.leader, solver.implementations.limits
    taken = {one.fold for one in group.candidates}
    faster = [
        fold
        for fold in tried_folds(solver.graph, solver.implementations, node)
        if fold not in taken and _cycles(solver, node, fold) < cycles and not node.op.interleaved(fold)
    ]
    for fold in sorted(faster, key=lambda fold: (fold.operations, fold)):
        why = _over(solver, node, fold, limits)
        if why:
            return Ceiling(node.name, f"the next faster fold ({fold}) takes {why}", "shorter codes or a narrower layer")
    return None


def _over(solver: Solver, node: Node, fold: Fold, limits: Limits) -> str:
    """Say which of the tools' limits a fold breaks; nothing where it breaks none."""
    ports = solver.graph.ports(node)
    beats = itertools.chain(*node.op.beats(ports, fold))
    widest = max(stream.bits * beat.lanes for stream, beat in zip(ports.inputs + ports.outputs, beats, strict=True))
    if widest > limits.stream_bits:
        return f"a stream of {widest:,} bits, and the tools allow {limits.stream_bits:,}"
    work = solver.implementations.of(node.op).cost(node.op, ports, fold).unrolled
    return f"{work:,} unrolled operations, and {limits.unrolled:,} are the limit" if work > limits.unrolled else ""
