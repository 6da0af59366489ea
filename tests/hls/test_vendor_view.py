"""What a vendor tool compiles: the written sources without our simulation, on the reference types; and clean headers."""

import subprocess

import numpy as np
import pytest

from muxflow.dataflow.fit.folding import fit
from muxflow.hls.headers import headers
from muxflow.hls.kernels import KERNELS
from muxflow.hls.packing import pack, unpack
from muxflow.hls.vitis.csim import ap_types
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project

# The fields that the vendor's header gives an AXI-Stream word.
AP_AXI_SDATA = """
#ifndef AP_AXI_SDATA
#define AP_AXI_SDATA
#include <ap_int.h>
template <int D, int U, int TI, int TD> struct ap_axiu {
  ap_uint<D> data;
  ap_uint<D / 8> keep;
  ap_uint<D / 8> strb;
  ap_uint<1> last;
};
#endif
"""


def compile_and_run(command, folder, run, **options):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:5000]
    return subprocess.run(run, capture_output=True, text=True, check=False, **options)


def vendor(project, folder):
    folder.mkdir()
    (folder / "ap_axi_sdata.h").write_text(AP_AXI_SDATA)
    vivado = project.options.tool == "vivado_hls"
    flags = ["-std=c++11", "-DMUXFLOW_VIVADO_HLS"] if vivado else ["-std=c++14"]
    command = ["g++", *flags, "-O0", "-w", "-Iinclude", "-Isrc", f"-I{folder}", f"-I{ap_types()}"]
    command += ["src/top.cpp", "tb/testbench.cpp", "-o", str(folder / "run")]
    return compile_and_run(command, project.path, [str(folder / "run")], cwd=project.path / "tb")


@pytest.mark.needs("hls4ml")
@pytest.mark.parametrize("tool", ["vitis_hls", "vivado_hls"])
def test_test_bench_passes(residual, device, tmp_path, tool):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    project = write_project(design, tmp_path / "p", options=ProjectOptions(tool))
    done = vendor(project, tmp_path / "vendor")
    assert done.returncode == 0
    assert done.stdout == "PASS: 4 frames, 0 differing words\n"


@pytest.mark.needs("hls4ml")
def test_test_bench_sees_a_difference(make_random_design, tmp_path):
    design = make_random_design(15)
    project = write_project(design, tmp_path / "p")
    expected = project.path / "tb" / "expected.dat"
    lines = expected.read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:016x}"
    expected.write_text("\n".join(lines) + "\n")
    done = vendor(project, tmp_path / "vendor")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "FAIL: 4 frames, 1 differing words"
    assert done.stdout.startswith("first difference: output frame 3 word ")
    expected.write_text("\n".join(lines[:-1]) + "\n")
    run = subprocess.run(
        [str(tmp_path / "vendor" / "run")], cwd=project.path / "tb", capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.splitlines()[0]) == (1, "FAIL: expected.dat ends early")


@pytest.mark.parametrize(
    "defines",
    [("-DMUXFLOW_CSIM", "-DMUXFLOW_NATIVE"), pytest.param(("-DMUXFLOW_CSIM",), marks=pytest.mark.needs("hls4ml"))],
)
def test_headers_are_free_of_warnings(make_random_design, residual, device, tmp_path, defines):
    """Every header, and the sources of a project that calls nearly all kernels, as C++11."""
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    project = write_project(design, tmp_path / "p")
    everything = "".join(f'#include "muxflow/{path}"\n' for path in sorted(headers()) if "/" not in path)
    (project.path / "all.cpp").write_text(everything)
    for source in ("all.cpp", "src/top.cpp"):
        command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-O1", "-fsyntax-only"]
        command += [*defines, "-Iinclude", "-Isrc", "-isystem", str(ap_types()), source]
        done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:5000]


def test_headers_stand_alone(include):
    """Each header includes what it needs."""
    for path in sorted((include / "muxflow").glob("*.hpp")):
        command = ["g++", "-std=c++11", "-DMUXFLOW_CSIM", "-DMUXFLOW_NATIVE", f"-I{include}", "-fsyntax-only", "-w"]
        done = subprocess.run([*command, "-x", "c++", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{path.name}: {done.stderr[:2000]}"


def test_sanitizers(make_random_design, tmp_path):
    """The native simulation with its coroutines under the address and undefined-behaviour sanitizers."""
    design = make_random_design(15)
    project = write_project(design, tmp_path / "p")
    command = ["g++", "-std=c++14", "-g", "-O1", "-DMUXFLOW_CSIM", "-DMUXFLOW_NATIVE", "-Iinclude", "-Isrc", "-w"]
    command += ["-DMUXFLOW_IMAGES=4", "-faligned-new"]
    command += ["-fsanitize=undefined,address", "-fno-sanitize-recover=all", "src/top.cpp", "sim/main.cpp", "-o", "run"]
    images = np.random.default_rng(0).integers(0, 4, (3, *design.graph.streams["x"].shape))
    (tmp_path / "input").write_bytes(pack(images, design.graph.streams["x"]).tobytes())
    run = [str(project.path / "run"), "3", "--in", "input", str(tmp_path / "input")]
    run += ["--out", "output", str(tmp_path / "output")]
    done = compile_and_run(command, project.path, run)
    assert done.returncode == 0, done.stderr[:5000]
    words = np.fromfile(tmp_path / "output", "<u8")
    np.testing.assert_array_equal(unpack(words, design.graph.streams[design.graph.outputs[0]]), design.graph(images))
