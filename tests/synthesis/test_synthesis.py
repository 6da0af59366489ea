"""What a synthesis tool's compiler makes of the written sources, read in LLVM's IR; vendor tools are built on the same one.

Rules that decide whether a loop reaches II = 1 at the clock: constant trip counts, one addition in every recurrence, no
array that is read and written without a word on its dependence; and tables that are data.
"""

import re

import networkx as nx
import numpy as np
import pytest
from synthesis.compiler import compile_project

from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.writing import write_project

pytestmark = pytest.mark.needs("ziglang")


def thresholds(make_graph, device):
    """All forms of thresholds: a clip and a product, a search, a comparison."""
    on_a_line = [[int(np.ceil(103.7 * k + channel)) for k in range(255)] for channel in range(-9000, -8952)]
    any_steps = np.sort(np.random.default_rng(1).integers(0, 255, (48, 100)), axis=1)
    graph = make_graph(
        Stream((2, 3, 48), -(2**19), 2**19 - 1),
        Threshold(on_a_line, [0, 1] * 24),
        Threshold(any_steps, [0, 1, 1] * 16, base=-3),
        Threshold([[10]], [0]),
    )
    design = build_design(graph, {f"n{i}": Fold(3) for i in range(3)}, KERNELS, device=device, board="b", clock_mhz=100)
    kernels = [KERNELS.unit(node.op, graph.ports(node), Fold(3)).function for node in graph.nodes]
    assert kernels == ["threshold_multiply", "threshold_search", "threshold"]
    return design


def windows(make_graph, device):
    """Parallel windows: a part of a window a beat with groups side by side, edges and long delays; a pool of sums."""
    graph = make_graph(
        Stream((9, 40, 6), 0, 3),
        SlidingWindow((3, 3), stride=(2, 1), pads=(1, 1, 1, 1), groups=6),
        WindowPool(9, "sum"),
        SlidingWindow((2, 2), dilation=(1, 3), groups=6),
        WindowPool(4, "max"),
    )
    folds = {"n1": Fold(simd=3, groups=2), "n3": Fold(simd=4, groups=6)}
    return build_design(graph, folds, KERNELS, device=device, board="b", clock_mhz=100)


def packed(make_graph, device):
    """Products of several rows in a DSP block: two and three, the last block not full, of pixels side by side."""
    rng = np.random.default_rng(2)
    graph = make_graph(
        Stream((2, 4, 12), 0, 15),
        Node("w0", RomWeights(rng.integers(-127, 128, (15, 12)), 1, 8), (), ("w0",)),
        Node("m0", MatrixVector(), ("x", "w0"), ("sums",)),
        Node("steps", Threshold(np.sort(rng.integers(-9999, 9999, (1, 15))), [0]), ("sums",), ("codes",)),
        Node("w1", RomWeights(rng.integers(-8, 8, (20, 15)), 1, 8), (), ("w1",)),
        Node("m1", MatrixVector(), ("codes", "w1"), ("y",)),
    )
    folds = {"m0": Fold(3, 6, 1, 2, True, True), "steps": Fold(3), "m1": Fold(5, 3, 1, 2, True, True)}
    return build_design(graph, folds, KERNELS, device=device, board="b", clock_mhz=100)


@pytest.fixture(scope="module", params=["residual", "thresholds", "windows", "packed", *range(12)])
def compiled(request, residual, make_graph, make_random_design, device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthesis")
    if request.param == "residual":
        design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    elif request.param == "thresholds":
        design = thresholds(make_graph, device)
    elif request.param == "windows":
        design = windows(make_graph, device)
    elif request.param == "packed":
        design = packed(make_graph, device)
    else:
        design = make_random_design(request.param)
    project = write_project(design, folder / "project")
    return project, compile_project(project, folder)


def node_functions(project, module):
    """Each process's node with its function."""
    for node in project.design.folded.processes:
        name = project.names.functions[node.name]
        found = [
            function for mangled, function in module.functions.items() if mangled.startswith(f"_ZL{len(name)}{name}R")
        ]
        assert len(found) == 1, name
        yield node, found[0]


def test_every_loop_has_the_iterations_of_the_model(compiled):
    project, module = compiled
    for node, function in node_functions(project, module):
        trips = project.design.folded.access(node).trips
        # Of two iterations clang makes a flag, or no loop at all.
        if trips > 2:
            assert [function.trip_count(loop) for loop in function.loops] == [trips], node


def test_no_recursion_no_heap_and_no_library(compiled):
    _, module = compiled
    calls = nx.DiGraph()
    for function in module.functions.values():
        for called in function.calls:
            known = called in module.functions or re.match(r"muxflow_fifo_(read|write)$|llvm\.", called)
            assert known, f"{function.name} calls {called}"
            calls.add_edge(function.name, called)
    assert nx.is_directed_acyclic_graph(calls)


def test_no_recurrence_is_longer_than_one_addition(compiled):
    project, module = compiled
    for node, function in node_functions(project, module):
        for loop in function.loops:
            deep = {name: depth for name, depth in function.recurrences(loop).items() if depth > 1}
            assert not deep, (node, deep)


def stated(project, node):
    """Variables of a node's kernel whose dependence or partition the header states."""
    header = project.path / "include" / "muxflow" / KERNELS.of(node.op).header_file.name
    return set(re.findall(r"#pragma HLS (?:dependence|array_partition) variable=(\w+)", header.read_text()))


def test_arrays_that_are_read_and_written_say_how(compiled):
    project, module = compiled
    for node, function in node_functions(project, module):
        for loop in function.loops:
            both = {name for name, (reads, writes) in function.memories(loop).items() if reads and writes}
            assert both <= stated(project, node), node


def test_tables_are_data_of_the_planned_width(compiled):
    project, module = compiled
    assert set(module.variables) <= {"llvm.global_ctors"}
    assert "[0 x" in module.variables.get("llvm.global_ctors", "[0 x"), "a table is made by a constructor"
    planned = {
        memory.memory.name: memory.memory
        for placed in project.design.memories.values()
        for memory in placed
        if memory.memory.kind in ("rom", "threshold")
    }
    assert planned or not module.constants
    for name, text in module.constants.items():
        assert re.match(r"(\[\d+ x ){1,3}i\d+\]", text), (name, text[:80])


def test_every_lane_has_a_memory_of_its_own_in_every_stage(compiled):
    """Seen where a search is deep enough that no table is folded into the logic."""
    project, module = compiled
    for name, placed in project.design.memories.items():
        tables = (one.memory for one in placed if one.memory.lanes and not one.memory.writable)
        for memory in (table for table in tables if table.depth > 8):
            found = [
                text
                for variable, text in module.constants.items()
                if variable.endswith(f"{project.names.functions[name]}_{memory.name}E")
            ]
            assert len(found) == 1, memory
            assert found[0].startswith(f"[{memory.lanes} x [{memory.depth} x [1 x i"), memory


@pytest.mark.parametrize("compiled", ["packed"], indirect=True)
def test_a_dsp_block_is_one_multiplication(compiled):
    project, module = compiled
    functions = {node.name: (node, function) for node, function in node_functions(project, module)}
    for name, blocks in (("m0", 2 * 6 * 2), ("m1", 2 * 3 * 2)):
        node, function = functions[name]
        assert project.design.folded.cost(node).dsp == blocks
        assert sum(line.opcode == "mul" for lines in function.blocks.values() for line in lines) == blocks
