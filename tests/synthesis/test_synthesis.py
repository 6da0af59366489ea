"""What a synthesis tool's compiler makes of the written sources, read in LLVM's IR; vendor tools are built on the same one.

Rules that decide whether a loop reaches II = 1 at the clock: constant trip counts, one addition in every recurrence, no
array that is read and written without a word on its dependence; and tables that are data.
"""

import re

import networkx as nx
import pytest
from synthesis.compiler import compile_project

from muxflow.dataflow.fit.folding import fit
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import write_project

pytestmark = pytest.mark.needs("ziglang")


@pytest.fixture(scope="module", params=["residual", *range(12)])
def compiled(request, residual, make_random_design, device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthesis")
    if request.param == "residual":
        design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
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
        trips = [function.trip_count(loop) for loop in function.loops]
        assert trips == [project.design.folded.access(node).trips], node


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
