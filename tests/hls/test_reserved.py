"""Names of streams, nodes and networks that a header, C++ or a generated source has already: the project compiles."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import muxflow
from muxflow.board.bitstream.vendor_tcl import write_scripts
from muxflow.board.board import find_board
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.names import identifier, identifiers, names_of
from muxflow.hls.vitis.csim import ap_types

NATIVE = ("-DMUXFLOW_NATIVE", "-DMUXFLOW_IMAGES=32")
TWO, THREE = (f"muxflow::stream<muxflow::Beat<{bits}, false, 1> >&" for bits in (2, 3))
FUNCTION = (
    f"static void {{0}}({TWO} muxflow_in, {THREE} muxflow_out); "
    f"inline void muxflow_{{0}}({TWO} muxflow_in, {THREE} muxflow_out) {{{{ {{0}}(muxflow_in, muxflow_out); }}}}"
)
TYPE = (
    "namespace muxflow_{0} {{ typedef muxflow::Beat<2, false, 1> {0}; }} using namespace muxflow_{0}; "
    "static void muxflow_takes_{0}(muxflow::stream<{0}>& x0);"
)
SOURCES = [
    ("src/top.cpp", NATIVE),
    ("src/top.cpp", ()),
    ("sim/main.cpp", NATIVE),
    ("sim/main.cpp", ()),
    ("tb/testbench.cpp", ()),
]


@pytest.fixture(scope="module")
def project(residual: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return muxflow.write(muxflow.fit(residual), tmp_path_factory.mktemp("names") / "project").path


@cache
def ap_folder() -> str:
    return f"-I{ap_types()}"


def compiler(project: Path, source: str | Path, flags: tuple[str, ...], *more: str) -> subprocess.CompletedProcess[str]:
    command = ["g++", "-std=c++14", "-w", "-DMUXFLOW_CSIM", "-Iinclude", "-Isrc", "-Isim", "-Itb"]
    command += [*(flags or (ap_folder(),)), *more, str(source)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def plain(text: str) -> bool:
    """Tell whether an identifier made of a name can be so."""
    return "__" not in text and re.fullmatch(r"[A-Za-z](\w*[A-Za-z0-9])?", text) is not None


def refused(project: Path, source: str, flags: tuple[str, ...], lines: dict[str, str], folder: Path) -> dict[str, str]:
    """Give what the compiler says of declarations after a source, by the name that each declares."""
    file = folder / "declared.cpp"
    file.write_text(f'#include "{project / source}"\n' + "\n".join(lines.values()) + "\n")
    said = compiler(project, file, flags, "-fsyntax-only", "-fmax-errors=0").stderr
    names = list(lines)
    met = re.findall(r"declared\.cpp:(\d+):\d+: error: (.*)", said)
    return {names[int(line) - 2]: message for line, message in reversed(met) if 2 <= int(line) < len(names) + 2}


@pytest.mark.parametrize(("source", "flags"), SOURCES)
def test_no_name_of_a_header_is_an_identifier(
    project: Path, tmp_path: Path, source: str, flags: tuple[str, ...]
) -> None:
    own = names_of(muxflow.open_project(project).design.folded)
    ours = {*own.functions.values(), *own.outer, f"{own.top}_design", "INPUT_WORDS", "OUTPUT_WORDS"}
    ours |= {
        word for word in re.findall(r"\w+", (project / "src" / "top.cpp").read_text()) if word.startswith(tuple(ours))
    }
    macros = set(re.findall(r"#define (\w+)", compiler(project, source, flags, "-dM", "-E").stdout))
    assert len(macros) > 500
    missed = [one for one in macros if plain(one) and identifier(one) == one and not one.startswith(own.top.upper())]
    assert not missed, "macros"
    words = set(re.findall(r"\b[A-Za-z_]\w*\b", compiler(project, source, flags, "-E", "-P").stdout))
    assert len(words) > 2000
    kept = sorted(one for one in words if plain(one) and identifier(one) == one and one not in ours)
    found = refused(project, source, flags, {one: FUNCTION.format(one) for one in kept}, tmp_path)
    assert not found, " ".join(found)
    stems = {one.removesuffix("_t") for one in words if one.endswith("_t") and plain(one.removesuffix("_t"))}
    types = (f"{one}_t" for one in identifiers(sorted(stems), typed=True).values())
    kept = [one for one in types if one not in ours]
    found = refused(project, source, flags, {one: TYPE.format(one) for one in kept}, tmp_path)
    assert not found, " ".join(found)


@pytest.mark.parametrize(
    "name", ["noexcept", "char16_t", "concept", "div_t", "FD_ZERO", "be16toh", "NAN", "ap_uint", "M_PIf", "Files"]
)
def test_what_is_declared_already_gets_a_prefix(name: str) -> None:
    assert identifier(name) == f"n_{name}"


@pytest.mark.parametrize(
    "name",
    [
        "conv1",
        "act",
        "fc",
        "x",
        "A",
        "W1",
        "size",
        "select",
        "join",
        "read",
        "conv_t",
        "ReLU_3",
        "maps",
        "CNV_1W1A",
        "TFC",
        "FC1",
        "LSTM",
        "CONV2_1",
    ],
)
def test_plain_names_stay(name: str) -> None:
    """They are what users find in the reports of vendor tools."""
    assert identifier(name) == name


def test_types_of_streams_differ_from_those_of_the_system() -> None:
    found = identifiers(["size", "n_size", "wchar", "x", "Size"], typed=True)
    assert list(found.values()) == ["n_size", "n_size_2", "n_wchar", "x", "Size"]
    assert identifiers(["size"]) == {"size": "size"}


@pytest.mark.parametrize("network", ["module", "Entity", "logic", "Buffer", "Xor", "s_wide", "wide_t"])
def test_the_top_function_is_no_word_of_rtl_nor_of_the_project(tmp_path: Path, network: str) -> None:
    """A module and an entity are named after it, and every script and reader of reports names it as the sources do."""
    node = Node("n", Threshold(np.array([[1, 2, 3]]), [0]), ("wide",), ("y",))
    graph = with_nodes(Graph(network, (), {"wide": Stream((2, 2, 2), 0, 3)}, ("wide",), ("y",)), [node])
    project = muxflow.write(muxflow.fit(graph), tmp_path / "project")
    assert project.hls.names.top == f"{network}_2"
    assert f"{network}_2(" in (project.path / "src" / "top.cpp").read_text()
    write_scripts(project.hls, find_board("pynq-z2"), tmp_path / "scripts")
    assert f"-vlnv muxflow:hls:{network}_2:1.0 " in (tmp_path / "scripts" / "block_design.tcl").read_text()


@pytest.mark.parametrize("network", ["Files", "size_t", "EXIT_SUCCESS"])
def test_a_project_of_names_that_are_declared_already(tmp_path: Path, network: str) -> None:
    nodes = ["noexcept", "MUXFLOW_RUN", "INT16_C", "clock_t", "co_await", "offsetof", "char16_t"]
    streams = ["wchar", "char32", "size", "time", "int8", "key", "bitand", "axi_word"]
    ends = zip(nodes, pairwise(streams), strict=True)
    chain = [Node(name, Threshold(np.array([[1, 2, 3]]), [0]), (x,), (y,)) for name, (x, y) in ends]
    graph = with_nodes(Graph(network, (), {"wchar": Stream((2, 2, 2), 0, 3)}, ("wchar",), ("axi_word",)), chain)
    project = muxflow.write(muxflow.fit(graph), tmp_path / "project")
    images = np.random.default_rng(0).integers(0, 4, (3, 2, 2, 2))
    for variant in ("native", "reference"):
        np.testing.assert_array_equal(project.csim(images, variant).outputs, graph(images))
