"""Cycle simulation against a slow reference written from docs/design/timing.md."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.folded import FIFO_DEPTH, resolve_folds
from muxflow.dataflow.fit.implementation import Adjusted, PixelByPixel
from muxflow.dataflow.fit.schedule import schedule
from muxflow.dataflow.fit.timing import DeadlockError, Simulator, simulate
from muxflow.dataflow.fit.timing_layout import SINK, SOURCE, STYLES, host_ends
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Op
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.scale import Scale
from muxflow.hls.kernels import KERNELS


class SlowFifo:
    def __init__(self, depth):
        self.depth, self.stamps, self.freed, self.most = depth, deque(), -1, 0

    def readable(self, now):
        return bool(self.stamps) and self.stamps[0] < now

    def full(self, now):
        return len(self.stamps) + (self.freed == now) >= self.depth


class SlowNode:
    """Reads and writes are lists of (stream, flags); the flags cover one frame."""

    def __init__(self, reads, writes, interval, depth, frames, style="flushing"):
        self.reads, self.writes, self.interval, self.depth, self.style = reads, writes, interval, depth, style
        self.trips = len((reads + writes)[0][1])
        self.todo = self.trips * frames
        self.next, self.rest = 0, 0
        self.flying = deque()  # (moving cycles left, streams to write)
        self.busy = self.starved = self.blocked = 0

    def wanted(self):
        return [name for name, flags in self.reads if flags[self.next % self.trips]]

    def cycle(self, fifos, now):
        leaving = self.flying[0][1] if self.flying and self.flying[0][0] == 0 else []
        if any(fifos[name].full(now) for name in leaving):
            self.blocked += 1
            return False
        if self.style == "stalling" and not self.todo:
            return False
        draining = self.style == "drained" and self.next % self.trips == 0 and self.flying
        wants = self.todo and not self.rest and not draining
        starts = wants and all(fifos[name].readable(now) for name in self.wanted())
        if wants and not starts:
            self.starved += 1
            if self.style != "flushing":
                return False
        moved = bool(self.flying or self.rest or starts)
        for name in leaving:
            fifo = fifos[name]
            fifo.most = max(fifo.most, len(fifo.stamps) + (fifo.freed == now) + 1)
            fifo.stamps.append(now)
        if self.flying and self.flying[0][0] == 0:
            self.flying.popleft()
        if self.rest:
            self.rest -= 1
            self.busy += 1
        elif starts:
            for name in self.wanted():
                fifos[name].stamps.popleft()
                fifos[name].freed = now
            self.flying.append([self.depth, [name for name, flags in self.writes if flags[self.next % self.trips]]])
            self.next, self.todo, self.rest = self.next + 1, self.todo - 1, self.interval - 1
            self.busy += 1
        for entry in self.flying:
            entry[0] -= 1
        return moved


def slow(folded, depths, frames, pace=None, style="flushing", deeper=0):
    """(completions, shares, high water, cycles), completions cut short by a deadlock; `pace`: cycles that a port of the
    host takes for a beat, where that is more than one."""
    graph = folded.graph
    counted, frames = frames, frames + Simulator.of(folded, style, deeper).tail
    # A source that its reader holds has a beat or two ready at any time.
    given = {**(depths or dict.fromkeys(graph.streams, 10**9)), **dict.fromkeys(folded.in_place, FIFO_DEPTH)}
    fifos = {name: SlowFifo(given[name]) for name in graph.streams}
    every = {name: [(name, [True] * graph.streams[name].beats)] for name in graph.inputs + graph.outputs}
    paces = {**dict.fromkeys(every, 1), **(pace or {})}
    sources, sinks = host_ends(graph.inputs, SOURCE), host_ends(graph.outputs, SINK)
    nodes = {end: SlowNode([], every[name], paces[name], 1, frames) for name, end in sources.items()}
    for node in graph.nodes:
        loop, cost = folded.access(node), folded.cost(node)
        reads = [(n, p.mask().tolist()) for n, p in zip(node.inputs, loop.reads, strict=True)]
        writes = [(n, p.mask().tolist()) for n, p in zip(node.outputs, loop.writes, strict=True)]
        nodes[node.name] = SlowNode(reads, writes, cost.interval, max(1, cost.depth) + deeper, frames, style)
    takers = [SlowNode(every[name], [], paces[name], 1, frames) for name in sinks]
    nodes.update(zip(sinks.values(), takers, strict=True))
    completions = []
    now = 0
    while len(completions) < counted:
        # In any order: what a node sees is the state at the start of the cycle.
        moved = [node.cycle(fifos, now) for node in reversed(nodes.values()) if node.todo or node.flying]
        done = min(taker.next // taker.trips for taker in takers)
        completions += [now + 1] * (min(done, counted) - len(completions))
        now += 1
        if not any(moved):
            break
    shares = {name: (n.busy / now, n.starved / now, n.blocked / now) for name, n in nodes.items()}
    return completions, shares, {name: fifo.most for name, fifo in fifos.items()}, now


def agree(folded, depths, frames, pace=None, style="flushing", deeper=0):
    timing = paced_ports(Simulator.of(folded, style, deeper), pace or {}).run(depths, frames, to_end=True)
    completions, shares, high_water, cycles = slow(folded, depths, frames, pace, style, deeper)
    assert list(timing.completions) == completions
    assert dict(timing.high_water) == high_water
    assert timing.cycles == cycles
    for name, share in shares.items():
        node = timing.nodes[name]
        assert (node.busy, node.starved, node.blocked) == pytest.approx(share)
    return timing


def paced_ports(simulator, pace):
    """The same simulator with ports of the host that take several cycles for a beat."""
    graph, nodes = simulator.graph, simulator.layout.nodes.copy()
    ends = {**host_ends(graph.inputs, SOURCE), **host_ends(graph.outputs, SINK)}
    for name, cycles in pace.items():
        nodes[simulator.layout.names.index(ends[name]), 1] = cycles
    return dataclasses.replace(simulator, layout=dataclasses.replace(simulator.layout, nodes=nodes))


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_agree_with_the_slow_reference(make_random_design, seed):
    design = make_random_design(seed)
    for frames in (1, 3):
        agree(design.folded, design.depths, frames)
    agree(design.folded, None, 2)
    tight = {name: max(1, depth // 2) if depth > 2 else 1 for name, depth in design.depths.items()}
    completions, _, _, cycles = slow(design.folded, tight, 2)
    if len(completions) == 2:
        agree(design.folded, tight, 2)
    else:
        assert cycles > 0
        with pytest.raises(DeadlockError) as caught:
            simulate(design.folded, tight, frames=2)
        freed = {**tight, **caught.value.depths}
        assert caught.value.waiting
        agree(design.folded, freed, 2)


@pytest.mark.parametrize(("seed", "count"), [(1, 2), (6, 3), (7, 4), (8, 3)])
def test_slower_ports_of_the_host_agree_with_the_slow_reference(make_random_design, seed, count):
    design = make_random_design(seed)
    intervals = [agree(design.folded, design.depths, 5).interval]
    ends = design.graph.inputs + design.graph.outputs
    for name in ends:
        beats = design.graph.streams[name].beats
        cycles = -(-2 * design.slowest_cycles // beats)
        intervals.append(agree(design.folded, design.depths, 5, {name: cycles}).interval)
        assert intervals[-1] >= cycles * beats
    assert agree(design.folded, None, 2, {ends[0]: 2, ends[-1]: 3}).cycles
    assert len(ends) == count


@pytest.mark.parametrize("seed", range(9))
def test_unbounded_latency_follows_the_closed_form(make_random_design, seed):
    design = make_random_design(seed)
    timing = simulate(design.folded, None, frames=1)
    closed = schedule(design.folded, timed=True).latency - 1
    # The closed form has no register in its FIFOs: a cycle less for each stream on the way.
    assert closed <= timing.latency <= closed + len(design.graph.nodes) + 3


def test_interval_is_never_below_the_slowest_node(make_random_design):
    for seed in range(4):
        design = make_random_design(seed)
        timing = simulate(design.folded, design.depths, frames=6)
        assert timing.interval >= max(design.cycles(node) for node in design.graph.nodes)


def test_a_deadlock_names_its_ring_and_the_depth_that_frees_it(residual, device):
    from muxflow.dataflow.fit.folding import fit

    # One pixel after the other: a beat of several holds as much as a FIFO of two must not.
    design = fit(residual, PixelByPixel(KERNELS), device=device, board="b", clock_mhz=100)
    held = next(name for name, depth in design.depths.items() if depth > 8 and name in _join_inputs(design))
    shallow = {**design.depths, held: 2}
    with pytest.raises(DeadlockError, match=f"waits for room on {held} \\(depth 2\\)") as caught:
        simulate(design.folded, shallow, frames=2)
    assert held in caught.value.depths
    assert any(how == "reads" for _, _, how in caught.value.waiting)
    freed = {**shallow, **caught.value.depths}
    assert simulate(design.folded, freed, frames=2).completions
    with pytest.raises(DeadlockError):
        simulate(design.folded, {**freed, held: caught.value.depths[held] // 2}, frames=2)


def _join_inputs(design):
    return {name for node in design.graph.nodes if node.op.kind == "MuxJoin" for name in node.inputs[:2]}


def test_depth_one_halves_the_rate_and_depth_two_does_not(make_graph, device):
    from muxflow.dataflow.graph.passes import insert_forks
    from muxflow.dataflow.graph.stream import Stream
    from muxflow.dataflow.ops.shift_clip import ShiftClip

    graph = insert_forks(make_graph(Stream((8, 8, 1), 0, 7), ShiftClip(np.zeros(1), 0, 0, 7)))
    leaders = {node.name: Fold() for node in graph.nodes}
    assert resolve_folds(graph, leaders) == leaders
    design = build_design(graph, leaders, KERNELS, device=device, board="b", clock_mhz=100)
    two = simulate(design.folded, dict.fromkeys(design.graph.streams, 2), frames=6)
    one = simulate(design.folded, dict.fromkeys(design.graph.streams, 1), frames=6)
    assert two.interval == 64
    assert one.interval == 128
    assert two.nodes["n0"].busy > 0.8
    assert one.nodes["n0"].starved + one.nodes["n0"].blocked > 0.4


def test_bad_input_is_refused(residual, device, monkeypatch):
    from muxflow.dataflow.fit import timing
    from muxflow.dataflow.fit.folding import fit

    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    with pytest.raises(MuxflowError, match="0 frames"):
        simulate(design.folded, design.depths, frames=0)
    with pytest.raises(MuxflowError, match="depth 0; at least 1"):
        simulate(design.folded, {**design.depths, design.graph.outputs[0]: 0})
    timing._library.cache_clear()
    monkeypatch.setattr(timing.shutil, "which", lambda _name: None)
    with pytest.raises(ToolError, match=r"no g\+\+ on PATH"):
        simulate(design.folded, design.depths)


@pytest.mark.parametrize("flags", [0, os.ST_NOEXEC])
@pytest.mark.parametrize(
    "writes", ["", 'echo no library > "$out"', 'echo "int x;" | @CC@ -xc++ -shared -fPIC - -o "$out"']
)
def test_a_simulator_that_cannot_be_loaded_is_told(tmp_path, residual, device, monkeypatch, writes, flags):
    """A compiler that writes none, or something else; a folder for temporary files from which no program may run."""
    from muxflow.dataflow import processes
    from muxflow.dataflow.fit import timing
    from muxflow.dataflow.fit.folding import fit

    compiler = tmp_path / "g++"
    find = 'while [ "$1" != -o ]; do shift; done; out=$2'
    compiler.write_text(f"#!/bin/sh\n{find}\n{writes.replace('@CC@', str(shutil.which('g++')))}\nexit 0\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(timing.shutil, "which", lambda _name: str(compiler))
    monkeypatch.setattr(processes.os, "statvfs", lambda _folder: SimpleNamespace(f_flag=flags))
    timing._library.cache_clear()
    advice = "is mounted noexec.; name another folder .* in TMPDIR" if flags else "; see whether that compiler works"
    try:
        with pytest.raises(ToolError, match=rf"timing simulator, compiled by .*, cannot be loaded .*{advice}$"):
            fit(residual, KERNELS, device=device, board="b", clock_mhz=100, simulated=True)
    finally:
        timing._library.cache_clear()


@dataclasses.dataclass(frozen=True, eq=False)
class SlowKernels(Adjusted):
    """Implementations, one op's pipeline half as fast."""

    slow: type[Op]

    def adjusted(self, op, ports, fold, cost):
        return dataclasses.replace(cost, interval=2) if isinstance(op, self.slow) else cost


def test_a_slower_pipeline_is_seen(make_random_design):
    design = make_random_design(1)
    node = max(design.graph.nodes, key=design.cycles)
    before = simulate(design.folded, design.depths, frames=4)
    after = agree(
        dataclasses.replace(design.folded, implementations=SlowKernels(KERNELS, type(node.op))), design.depths, 4
    )
    assert after.interval > 1.5 * before.interval


@pytest.mark.parametrize("style", ["stalling", "drained"])
@pytest.mark.parametrize("seed", range(9))
def test_pipelines_that_stand_still_agree_with_the_slow_reference(make_random_design, seed, style):
    design = make_random_design(seed)
    for deeper in (0, 3):
        agree(design.folded, None, 2, style=style, deeper=deeper)
        for cut in (1, 2, 5):
            depths = {name: max(2, depth // cut) for name, depth in design.depths.items()}
            completions, _, _, _ = slow(design.folded, depths, 2, style=style, deeper=deeper)
            if len(completions) == 2:
                agree(design.folded, depths, 2, style=style, deeper=deeper)
                continue
            simulator = Simulator.of(design.folded, style, deeper)
            with pytest.raises(DeadlockError) as caught:
                simulator.run(depths, 2)
            assert caught.value.waiting
            agree(design.folded, {**depths, **caught.value.depths}, 2, style=style, deeper=deeper)


def test_a_node_that_never_waits_has_one_latency_and_a_drained_one_a_longer_interval(make_graph, device):
    from muxflow.dataflow.graph.passes import insert_forks
    from muxflow.dataflow.graph.stream import Stream
    from muxflow.dataflow.ops.shift_clip import ShiftClip

    graph = insert_forks(make_graph(Stream((4, 4, 1), 0, 7), ShiftClip(np.zeros(1), 0, 0, 7)))
    design = build_design(
        graph, {n.name: Fold() for n in graph.nodes}, KERNELS, device=device, board="b", clock_mhz=100
    )
    latency = {style: Simulator.of(design.folded, style).run(None, 1).latency for style in STYLES}
    assert len(set(latency.values())) == 1
    intervals = {style: Simulator.of(design.folded, style).run(None, 6).interval for style in STYLES}
    assert intervals["flushing"] == intervals["stalling"] == 16
    assert intervals["drained"] > 16


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6, 7, 8])
def test_a_paced_host_sets_the_interval(make_random_design, seed):
    design = make_random_design(seed)
    simulator = Simulator.of(design.folded)
    interval = 3 * simulator.slowest_cycles + 1
    timing = simulator.paced(interval).run(None, 6)
    assert timing.interval == interval
    assert min(timing.nodes[end].busy for end in host_ends(design.graph.inputs, SOURCE).values()) > 0.5


def test_a_run_that_is_too_slow_is_given_up(make_random_design):
    design = make_random_design(1)
    simulator = Simulator.of(design.folded)
    whole, waits = simulator.attempt(design.depths, 8, slowest=None)
    assert waits is None
    same, waits = simulator.attempt(design.depths, 8, slowest=whole.interval)
    assert waits is None
    assert same == whole
    cut, waits = simulator.attempt(design.depths, 8, slowest=0.9 * whole.interval)
    assert waits is not None
    assert cut.cycles < whole.cycles


def test_a_frame_ends_when_its_last_node_does(make_graph, device):
    """A pool that drops a row and a column gives its last output before what is in front of it has ended."""
    graph = make_graph(Stream((7, 7, 2), 0, 3), Scale([3]), Pool((3, 3), "max"), Pool((2, 2), "max"))
    design = build_design(
        graph, {node.name: Fold(1) for node in graph.nodes}, KERNELS, device=device, board="b", clock_mhz=100
    )
    for style in ("flushing", "drained"):
        simulator = Simulator.of(design.folded, style)
        whole, alone = simulator.frame_cycles(design.depths), simulator.run(design.depths, 1)
        assert design.slowest_cycles == 98 <= whole
        assert whole > alone.latency + 5  # the last output is in the pipelines while 8 pixels are dropped
        again = simulator.run(design.depths, 3)
        assert again.completions[1] - again.completions[0] < whole  # frames that overlap
        assert schedule(design.folded, timed=True).cycles <= whole + 2
