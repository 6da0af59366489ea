"""Every pragma, in the headers and as written, follows the vendors' documented grammar (UG902 2019.2, UG1399)."""

import re

import pytest

from muxflow.dataflow.fit.folding import fit
from muxflow.hls.headers import headers
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions, write_project

NAME = r"[A-Za-z_]\w*"
COMMON = [
    r"pipeline( II=\d+)?( rewind)?",
    r"unroll( factor=\d+)?",
    r"inline( off| recursive)?",
    rf"array_partition variable={NAME} (complete|(cyclic|block) factor=\d+)( dim=\d+)?",
    rf"array_reshape variable={NAME} (complete|(cyclic|block) factor=\d+)( dim=\d+)?",
    rf"dependence variable={NAME} (inter|intra)( (RAW|WAR|WAW))?( distance=\d+)? (true|false)",
    r"dataflow",
    rf"interface (axis|s_axilite|ap_ctrl_none|ap_ctrl_hs|ap_none) port={NAME}",
    rf"stream variable={NAME} depth=\d+",
    rf"interface s_axilite port={NAME} bundle=control( offset=0x[0-9a-f]+)?",
    rf"stable variable={NAME}",
]
BY_TOOL = {
    "vitis_hls": [
        rf"bind_storage variable={NAME} type=fifo impl=(autosrl|bram|lutram|memory|srl|uram)",
        rf"bind_storage variable={NAME} type=(ram_1p|ram_2p|ram_s2p|ram_t2p|rom_1p|rom_2p|rom_np) impl=(auto|bram|lutram|uram)",
    ],
    "vivado_hls": [
        rf"RESOURCE variable={NAME} core=(FIFO|FIFO_BRAM|FIFO_LUTRAM|FIFO_SRL)",
        rf"RESOURCE variable={NAME} core=(ROM_1P|ROM_1P_BRAM|ROM_1P_LUTRAM|ROM_2P|ROM_2P_BRAM|ROM_2P_LUTRAM)",
    ],
}


def pragmas(text):
    return re.findall(r"^[ \t]*#[ \t]*pragma[ \t]+(.*?)[ \t]*$", text, re.MULTILINE)


def check(pragma, tool):
    assert pragma.startswith("HLS "), pragma
    rules = COMMON + [rule for name, rules in BY_TOOL.items() if tool in (None, name) for rule in rules]
    assert any(re.fullmatch(rule, pragma[4:]) for rule in rules), pragma


@pytest.mark.parametrize("header", sorted(place for place in headers() if not place.startswith("finn/")))
def test_headers(header):
    text = headers()[header].read_text()
    found = pragmas(text)
    for pragma in found:
        # A header serves both tools: it may use only what both know.
        assert any(re.fullmatch(rule, pragma.removeprefix("HLS ")) for rule in COMMON), pragma
    loops = re.findall(r"for \(long iteration = 0;.*\{\n(.*)\n", text)
    assert all(line == "#pragma HLS pipeline II=1" for line in loops)


def test_every_kernel_has_a_pipelined_loop():
    texts = {path.stem: path.read_text() for place, path in headers().items() if "/" not in place}
    for name in set(texts) - {"types", "stream", "simulation", "residual", "ring"}:
        assert "for (long iteration = 0;" in texts[name], name
        assert "#pragma HLS pipeline II=1" in texts[name], name


@pytest.mark.parametrize("tool", ["vitis_hls", "vivado_hls"])
@pytest.mark.parametrize("control", ["ap_ctrl_none", "s_axilite"])
def test_written_project(residual, make_random_design, device, tmp_path, tool, control):
    designs = [
        fit(residual, KERNELS, device=device, board="b", clock_mhz=100),
        make_random_design(0),
        make_random_design(15),
    ]
    kinds = set()
    for number, design in enumerate(designs):
        project = write_project(design, tmp_path / str(number), options=ProjectOptions(tool, control))
        top = (project.path / "src" / "top.cpp").read_text()
        found = pragmas(top)
        for pragma in found:
            check(pragma, tool)
        kinds |= {pragma.split()[1] for pragma in found}
        assert f"HLS interface {control} port=return" in found
        streams = re.findall(r"MUXFLOW_STREAM\(\w+, (\w+), (\d+)\);", top)
        assert [f"HLS stream variable={name} depth={depth}" for name, depth in streams] == [
            pragma for pragma in found if pragma.startswith("HLS stream")
        ]
        for pragma in found:
            variable = re.search(r"variable=(\w+)", pragma)
            if variable:
                assert re.search(rf"\b{variable[1]}\b", top.replace(f"#pragma {pragma}", "")), pragma
    storage = "bind_storage" if tool == "vitis_hls" else "RESOURCE"
    assert kinds == {"interface", "dataflow", "stream", "array_reshape", "array_partition", storage}
