"""Seeds that are written at run time: other text for those who ask, and the graph with that start for every back end."""

import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import muxflow
from muxflow.board.driver import Accelerator
from muxflow.dataflow.errors import GraphError, MuxflowError, ToolError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import writable_seeds
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis import csim
from muxflow.hls.vitis.csim import ap_types, recordable, run_csim
from muxflow.hls.vitis.project import Project, ProjectOptions, load_project
from muxflow.hls.vitis.writing import write_project

WRITABLE = ProjectOptions(seeds="writable")


def generated(first=0, second=0):
    """Two generated layers, binary on 70 cells (three registers) and ternary on 33, over a map of 2 x 3 pixels."""
    nodes = [
        Node("cells", AutomatonWeights(6, 12, 70, seed=first, burn_in=70, repeats=6), (), ("w1",)),
        Node("fc", MatrixVector(), ("x", "w1"), ("a",)),
        Node("act", Threshold([[-9, 0, 9]] * 6, [0, 1, 0, 1, 0, 1]), ("a",), ("b",)),
        Node("cells seed", AutomatonWeights(4, 6, 33, 45, second, 33, "ternary", 6), (), ("w2",)),
        Node("mix", MatrixVector(), ("b", "w2"), ("y",)),
    ]
    return with_nodes(Graph("generated", (), {"x": Stream((2, 3, 12), 0, 3)}, ("x",), ("y",)), nodes)


def starts(graph):
    """The start of every generator of a graph, by node."""
    return {node.name: node.op.automaton.first_row() for node in graph.nodes if isinstance(node.op, AutomatonWeights)}


@pytest.fixture(scope="module")
def project(device, tmp_path_factory):
    folds = {"fc": Fold(2, 4), "act": Fold(2), "mix": Fold(2, 3)}
    design = build_design(writable_seeds(generated()), folds, KERNELS, device=device, board="b", clock_mhz=100)
    return write_project(design, tmp_path_factory.mktemp("p") / "p", options=WRITABLE)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 4, (7, 2, 3, 12))


@pytest.mark.parametrize("variant", ["native", pytest.param("reference", marks=pytest.mark.needs("hls4ml"))])
def test_equals_the_graph_with_that_start(project, images, variant):
    muxflow.Project(project).csim(images, variant)
    for first, second in [(0, 0), (5, 0), (0, 8), (3, 4)]:
        other = generated(first, second)
        met = run_csim(project, images, variant, seeds=starts(other), jobs=2).outputs
        np.testing.assert_array_equal(met, other(images))
    assert not np.array_equal(generated()(images), generated(3, 4)(images))


@pytest.mark.needs("hls4ml")
def test_extreme_start(project, images):
    """All weights +1, or all -1: no accumulator is too narrow for any start."""
    for cell in (0, 1):
        seeds = {"cells": [cell] * 70}
        met = run_csim(project, np.full_like(images, 3), "reference", seeds=seeds, record=["a"])
        # Rule 30 takes both uniform rings to the dead one after the first row.
        rows = np.array([2 * cell - 1] + [-1] * 5)
        np.testing.assert_array_equal(met.streams["a"], np.broadcast_to(36 * rows, (7, 2, 3, 6)))
        stream = project.design.graph.streams["a"]
        assert stream.lo <= met.streams["a"].min() and met.streams["a"].max() <= stream.hi


def test_emulator(project, images):
    other = generated(3, 4)
    with Accelerator.emulate(project.path) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), generated()(images))
        accelerator.write_seeds(starts(other))
        np.testing.assert_array_equal(accelerator.run(images), other(images))
        accelerator.write_seeds({"cells": starts(other)["cells"]})
        np.testing.assert_array_equal(accelerator.run(images), generated(3, 0)(images))


def test_written_text(project, golden):
    golden("seeds/top.cpp", (project.path / "src" / "top.cpp").read_text())
    golden("seeds/top.hpp", (project.path / "src" / "top.hpp").read_text())
    golden("seeds/main.cpp", (project.path / "sim" / "main.cpp").read_text())
    golden("seeds/testbench.cpp", (project.path / "tb" / "testbench.cpp").read_text())


def test_registers(project):
    """A start takes its words and one more for the port's control, from 0x20 on (UG1399)."""
    assert [(seed.node, seed.argument, seed.offset, len(seed.cells)) for seed in project.seeds] == [
        ("cells", "cells_seed_2", 0x20, 70),
        ("cells seed", "cells_seed_seed", 0x30, 33),
    ]
    for seed in project.seeds:
        stream = project.design.graph.streams[{"cells": "w1", "cells seed": "w2"}[seed.node]]
        assert (seed.frames_ahead - 2) * stream.beats >= project.design.depths[{"cells": "w1"}.get(seed.node, "w2")]
        assert seed.text == "".join(map(str, starts(generated())[seed.node]))
    assert load_project(project.path).seeds == project.seeds


@pytest.mark.parametrize("control", ["ap_ctrl_none", "s_axilite"])
def test_one_bundle(project, tmp_path, control):
    written = write_project(project.design, tmp_path / "p", options=replace(WRITABLE, control=control))
    top = (written.path / "src" / "top.cpp").read_text()
    bundles = set(re.findall(r"#pragma HLS interface s_axilite .*bundle=(\w+)", top))
    assert bundles == {"control"}
    assert top.count("interface s_axilite") == 2 + (control == "s_axilite")


@pytest.mark.needs("hls4ml")
def test_vendor_view(project, tmp_path):
    """As the vendor's tools see it: no simulation macros, seeds as ap_uint arguments by value."""
    header = (
        "#include <ap_int.h>\ntemplate <int D, int U, int TI, int TD> struct ap_axiu "
        "{ ap_uint<D> data; ap_uint<D / 8> keep, strb; ap_uint<1> last; };\n"
    )
    (tmp_path / "ap_axi_sdata.h").write_text(header)
    command = ["g++", "-std=c++14", "-O0", "-w", "-Iinclude", "-Isrc", f"-I{tmp_path}", f"-I{ap_types()}"]
    command += ["src/top.cpp", "tb/testbench.cpp", "-o", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    done = subprocess.run([str(tmp_path / "run")], cwd=project.path / "tb", capture_output=True, text=True, check=False)
    assert done.stdout == "PASS: 4 frames, 0 differing words\n"


def test_pass_widens_for_any_start(project):
    narrow, wide = generated(), writable_seeds(generated())
    assert (wide.streams["a"].lo, wide.streams["a"].hi) == (-36, 36)
    assert (narrow.streams["a"].lo, narrow.streams["a"].hi) != (-36, 36)
    np.testing.assert_array_equal(narrow.nodes[0].op.matrix, wide.nodes[0].op.matrix)
    assert {"w1", "w2"}.isdisjoint(recordable(project))
    # Weights repeat: their FIFOs stay small whether or not they can change.
    assert {project.design.depths[name] for name in ("w1", "w2")} == {2}


def test_errors(make_graph, device, project, images, tmp_path):
    plain = make_graph(Stream((1, 1, 2), 0, 1), Scale([2]))
    with pytest.raises(GraphError, match="chain: no weights are generated, so there is no seed to write"):
        writable_seeds(plain)
    with pytest.raises(MuxflowError, match="no weights are generated, so seeds='writable'"):
        write_project(fit(plain, KERNELS, device=device, board="b", clock_mhz=100), tmp_path / "p", options=WRITABLE)
    with pytest.raises(MuxflowError, match=r"cells: the accumulators.*passes\.writable_seeds before it is fitted"):
        write_project(
            fit(generated(), KERNELS, device=device, board="b", clock_mhz=100), tmp_path / "p", options=WRITABLE
        )
    with pytest.raises(MuxflowError, match="seeds 'random'; supported: 'fixed', 'writable'"):
        ProjectOptions(seeds="random")
    assert not list(tmp_path.iterdir())
    for seeds, message in [
        ({"fc": [0]}, "no writable seed 'fc'; there are cells, cells seed"),
        ({"cells": [0]}, "seed of cells: expected 70 cells, each 0 or 1"),
        ({"cells": [2] * 70}, "each 0 or 1"),
    ]:
        with pytest.raises(MuxflowError, match=message):
            run_csim(project, images, seeds=seeds)
    fixed = Project(project.path, project.design)
    with pytest.raises(MuxflowError, match="the project's seeds are fixed"):
        run_csim(fixed, images, seeds={"cells": [0] * 70})


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--seed", "x", "0"], "unknown seed x"), (["--seed", "cells_seed_2", "01"], "wrong number of cells")],
)
def test_simulation_refuses(project, images, monkeypatch, words, message):
    monkeypatch.setattr(csim, "seed_options", lambda *_: words)
    with pytest.raises(ToolError, match=f"ended with code 2: csim: {message}"):
        run_csim(project, images)


def test_writable_graph_with_fixed_seeds(project, images, tmp_path):
    """The wide graph without registers: the same answers, no argument."""
    fixed = write_project(project.design, tmp_path / "p")
    assert fixed.seeds == ()
    assert "RingState" not in (fixed.path / "src" / "top.cpp").read_text()
    np.testing.assert_array_equal(run_csim(fixed, images).outputs, generated()(images))
