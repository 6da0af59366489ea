"""Every pragma, in the headers and as written, follows the vendors' documented grammar (UG902 2019.2, UG1399)."""

import re

import pytest

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.passes import load_weights
from muxflow.hls.emit import storage_pragma
from muxflow.hls.headers import SHARED, copy_headers, headers
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project

NAME = r"[A-Za-z_]\w*"
COMMON = [
    r"unroll( factor=\d+)?",
    r"inline( off| recursive)?",
    rf"array_partition variable={NAME} (complete|(cyclic|block) factor=\d+)( dim=\d+)?",
    rf"array_reshape variable={NAME} (complete|(cyclic|block) factor=\d+)( dim=\d+)?",
    rf"dependence variable={NAME} (inter|intra)( (RAW|WAR|WAW))?( distance=\d+)? (true|false)",
    rf"interface (axis|s_axilite|ap_ctrl_none|ap_ctrl_hs|ap_none) port={NAME}",
    rf"stream variable={NAME} depth=\d+",
    rf"interface s_axilite port={NAME} bundle=control( offset=0x[0-9a-f]+)?",
    rf"stable variable={NAME}",
]
BY_TOOL = {
    "vitis_hls": [
        r"pipeline( II=\d+)?( style=(stp|frp|flp))?( rewind)?",
        r"dataflow( disable_start_propagation)?",
        rf"bind_storage variable={NAME} type=fifo impl=(autosrl|bram|lutram|memory|srl|uram)",
        rf"bind_storage variable={NAME} type=(ram_1p|ram_2p|ram_s2p|ram_t2p|rom_1p|rom_2p|rom_np) impl=(auto|bram|lutram|uram)",
        rf"bind_op variable={NAME} op=mul impl=(dsp|fabric)",
    ],
    "vivado_hls": [
        r"pipeline( II=\d+)?( rewind)?",
        r"dataflow",
        rf"RESOURCE variable={NAME} core=(FIFO|FIFO_BRAM|FIFO_LUTRAM|FIFO_SRL)",
        rf"RESOURCE variable={NAME} core=(ROM_1P|ROM_1P_BRAM|ROM_1P_LUTRAM|ROM_2P|ROM_2P_BRAM|ROM_2P_LUTRAM)",
        rf"RESOURCE variable={NAME} core=(RAM_2P_BRAM|RAM_2P_LUTRAM|XPM_MEMORY uram)",
        rf"RESOURCE variable={NAME} core=(Mul_LUT|DSP48)",
    ],
}


def pragmas(text):
    return re.findall(r"^[ \t]*#[ \t]*pragma[ \t]+(.*?)[ \t]*$", text, re.MULTILINE)


def check(pragma, tool):
    assert pragma.startswith("HLS "), pragma
    assert any(re.fullmatch(rule, pragma[4:]) for rule in COMMON + BY_TOOL[tool]), pragma


@pytest.fixture(scope="module", params=["vitis_hls", "vivado_hls"])
def written(request, tmp_path_factory):
    """A tool and the headers as written for it."""
    folder = tmp_path_factory.mktemp(request.param)
    copy_headers(folder, tool=request.param)
    return request.param, folder


PIPELINE = {"vitis_hls": "#pragma HLS pipeline II=1 style=flp", "vivado_hls": "#pragma HLS pipeline II=1"}
"""Vivado HLS 2019.2 knows no styles."""


@pytest.mark.parametrize("header", sorted(place for place in headers() if not place.startswith("finn/")))
def test_headers(header, written):
    tool, folder = written
    text = (folder / header).read_text()
    for pragma in pragmas(text):
        check(pragma, tool)
    loops = re.findall(r"for \(long iteration = 0;.*\{\n(.*)\n", text)
    assert all(line == PIPELINE[tool] for line in loops)
    assert all(line == PIPELINE[tool] for line in re.findall(r"#pragma HLS pipeline.*", text))


def test_every_kernel_has_a_pipelined_loop():
    texts = {path.stem: path.read_text() for place, path in headers().items() if not (SHARED / place).exists()}
    for name in texts:
        text = texts["residual" if name == "or_join" else name]  # the loop that residual joins share
        loop = "while (!serving)" if name == "loaded_weights" else "for (long iteration = 0;"  # that one waits
        assert loop in text, name
        assert PIPELINE["vitis_hls"] in text, name


@pytest.mark.parametrize("tool", ["vitis_hls", "vivado_hls"])
@pytest.mark.parametrize("uram", [0, 64])
def test_loaded_weights(residual, tmp_path, tool, uram):
    """Memories that are written, in LUTs, block RAM and UltraRAM: each is the process's own, and named after it was declared."""
    device = Device("xck26-sfvc784-2LV-c", lut=6000, ff=10**6, bram18=200, dsp=100, uram=uram)
    design = fit(load_weights(residual), KERNELS, device=device, board="b", clock_mhz=100)
    project = write_project(design, tmp_path / "p", options=ProjectOptions(tool, weights="loaded"))
    top = (project.path / "src" / "top.cpp").read_text()
    for pragma in pragmas(top):
        check(pragma, tool)
    declared = {one[1]: one.start() for one in re.finditer(r"::Data (\w+);", top)}
    assert len(declared) == len(project.loaders)
    for variable, place in declared.items():
        assert all(one.start() > place for one in re.finditer(rf"variable={variable}\b", top))


def test_fifo_in_ultra_ram():
    found = storage_pragma("s", "uram", "fifo", "vitis_hls")
    assert found == "bind_storage variable=s type=fifo impl=uram"
    check(f"HLS {found}", "vitis_hls")
    with pytest.raises(UnsupportedError, match="stream s: its FIFO is planned in UltraRAM, and Vivado HLS makes none"):
        storage_pragma("s", "uram", "fifo", "vivado_hls")


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
        free = tool == "vitis_hls" and control == "ap_ctrl_none"
        assert ("HLS dataflow disable_start_propagation" if free else "HLS dataflow") in found
        streams = re.findall(r"MUXFLOW_STREAM\(\w+, (\w+), (\d+)\);", top)
        assert [f"HLS stream variable={name} depth={depth}" for name, depth in streams] == [
            pragma for pragma in found if pragma.startswith("HLS stream")
        ]
        for pragma in found:
            variable = re.search(r"variable=(\w+)", pragma)
            if variable:
                assert re.search(rf"\b{variable[1]}\b", top.replace(f"#pragma {pragma}", "")), pragma
    storage = "bind_storage" if tool == "vitis_hls" else "RESOURCE"
    assert kinds == {"interface", "dataflow", "stream", "array_partition", storage}
