"""The memory plan: totals against the design, joins, primitives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.graph.graph import Graph
from muxflow.hls.kernels import KERNELS
from muxflow.reports.gather.memory_plan import make_memory_plan
from muxflow.reports.schema.rows import KINDS, TINY_BUDGET


def designs(make_random_design: Callable[[int], Design], residual: Graph, device: Device) -> list[Design]:
    fitted = folding.fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    return [fitted, *(make_random_design(seed) for seed in range(6))]


def test_the_plan_holds_every_memory_once(
    make_random_design: Callable[[int], Design], residual: Graph, device: Device
) -> None:
    for design in designs(make_random_design, residual, device):
        plan = make_memory_plan(design)
        logic = sum(design.cost(node).lut for node in design.graph.nodes)
        totals = plan.totals(KINDS)
        assert sum(total.lut for total in totals) + logic == design.resources.lut
        assert sum(total.bram18 for total in totals) == design.resources.bram18
        assert len(plan.rows) == sum(map(len, design.memories.values())) + len(design.fifos)
        for row in plan.rows:
            assert row.bits == row.depth * row.width <= row.occupied
            assert row.primitives
        assert 0 < plan.parameter_bits == design.stored_parameter_bits
        assert plan.tiny_budget_share == pytest.approx(plan.parameter_bits / TINY_BUDGET)


def test_a_join_is_charged_for_the_fifos_into_it(residual: Graph, device: Device) -> None:
    design = folding.fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    (join,) = make_memory_plan(design).joins
    assert (join.node, join.kind, join.select) == ("join", "MuxJoin", "stream")
    # A frame of x, 6 x 6 x 4 codes of 3 bits, waits for the select.
    assert join.frame_bits >= 6 * 6 * 4 * 3
    every = sum(placed.memory.bits for placed in design.fifos.values() if placed.memory.kind == "frame")
    assert join.frame_bits == every
