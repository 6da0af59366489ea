"""Weights that are loaded at run time: the same compiled simulation with the weights of either network is that network."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from loaded_networks import LOADED, ULTRA, built, file_of, forked, network

import muxflow
from muxflow.board.driver.errors import AcceleratorError
from muxflow.board.driver.weights import checksum
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.timing import simulate
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks, load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS
from muxflow.hls.kernels.loaded_weights import BEGIN
from muxflow.hls.packing import pack, unpack
from muxflow.hls.vitis.csim import ap_types, compile_csim, run_csim
from muxflow.hls.vitis.project import load_project
from muxflow.hls.vitis.writing import write_project
from muxflow.proving import project_report


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return built(forked(), tmp_path_factory.mktemp("p") / "p")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 4, (5, 4, 5, 4))


@pytest.mark.parametrize("variant", ["native", pytest.param("reference", marks=pytest.mark.needs("hls4ml"))])
def test_one_simulation_two_networks(project, images, tmp_path, variant):
    opened = muxflow.Project(project)
    executable, _ = compile_csim(project, variant)
    opened.csim(images, variant)
    for seed in (0, 1, 2):
        file = file_of(project, seed, tmp_path / f"{seed}.weights")
        met = opened.csim(images, variant, weights=file, bounded=seed == 2)
        np.testing.assert_array_equal(met.outputs, network(seed)(images))
        np.testing.assert_array_equal(project.graph_with(file)(images), network(seed)(images))
    assert compile_csim(project, variant) == (executable, 0.0)
    assert not np.array_equal(network(0)(images), network(1)(images))
    assert (tmp_path / "0.weights").read_bytes() == (project.path / "weights.bin").read_bytes()


@pytest.mark.needs("hls4ml")
def test_extreme_weights(project, images, tmp_path):
    """Every weight at an end of its interval: no accumulator is too narrow."""
    graph = network()
    for end in (0, 1):
        nodes = [
            replace(node, op=replace(node.op, weights=np.full(node.op.weights.shape, (node.op.lo, node.op.hi)[end])))
            if isinstance(node.op, LoadedWeights)
            else node
            for node in forked().nodes
        ]
        other = replace(graph, nodes=tuple(nodes))
        file = tmp_path / f"{end}.weights"
        file.write_bytes(project.weight_file(other))
        met = run_csim(project, np.full_like(images, 3), "reference", weights=file).outputs
        np.testing.assert_array_equal(met, other(np.full_like(images, 3)))


AP_AXI_SDATA = """
#include <ap_int.h>
template <int D, int U, int TI, int TD> struct ap_axiu { ap_uint<D> data; ap_uint<D / 8> keep, strb; ap_uint<1> last; };
"""


def vendor(project, folder):
    folder.mkdir()
    (folder / "ap_axi_sdata.h").write_text(AP_AXI_SDATA)
    flags = ["-std=c++11", "-DMUXFLOW_VIVADO_HLS"] if project.options.tool == "vivado_hls" else ["-std=c++14"]
    command = ["g++", *flags, "-O0", "-w", "-Iinclude", "-Isrc", f"-I{folder}", f"-I{ap_types()}"]
    command += ["src/top.cpp", "tb/testbench.cpp", "-o", str(folder / "run")]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return subprocess.run([str(folder / "run")], cwd=project.path / "tb", capture_output=True, text=True, check=False)


# The host as a process: a frame before any weights, then weights; other weights between frames; the first ones again.
HOST = r"""
#include <cstdio>
#include <cstdlib>
#include <vector>
#include "top.hpp"
using namespace net_design;
typedef std::vector<unsigned long long> Words;
static Words words_of(const char* path) {
  Words words;
  std::FILE* file = std::fopen(path, "rb");
  unsigned long long word;
  while (std::fread(&word, 8, 1, file) == 1) words.push_back(word);
  return words;
}
static void send(const Words& words, muxflow::stream<axi_word>& to) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    axi_word word;
    word.data = words[i];
    word.last = i + 1 == words.size();
    to.write(word);
  }
}
static bool waits = false;
int main(int, char** argv) {
  muxflow::simulation::scheduler().bounded = std::atoi(argv[1]);
  muxflow::simulation::scheduler().deal = muxflow::simulation::Deal(3, 3);
  const Words frames = words_of("frames"), first = words_of("first"), second = words_of("second");
  muxflow::stream<axi_word> input("input", 2), output("output", 2), weights("weights", 2), checksum("checksum", 2);
  MUXFLOW_STREAM(axi_word, never, 2);
  MUXFLOW_PROCESS(host, {
    static int frame = 0;
    const Words& loaded = frame == 1 ? second : first;
    const Words one(frames.begin() + frame * INPUT_WORDS, frames.begin() + (frame + 1) * INPUT_WORDS);
    if (frame == 0) send(one, input);
    if (frame == 0) waits = output.empty();
    send(loaded, weights);
    std::printf("%llx\n", (unsigned long long)checksum.read().data);
    if (frame > 0) send(one, input);
    for (int i = 0; i < OUTPUT_WORDS; ++i) std::printf("%llx\n", (unsigned long long)output.read().data);
    ++frame;
  });
  net(input, output, weights, checksum);
  return muxflow::simulation::scheduler().deadlocked || !waits || !checksum.empty() ? 1 : 0;
}
"""


@pytest.mark.parametrize("bounded", [0, 1])
def test_frames_wait_and_weights_change_between_frames(project, images, tmp_path, bounded):
    graph, folded = project.design.graph, project.design.folded
    (tmp_path / "host.cpp").write_text(HOST)
    (tmp_path / "frames").write_bytes(pack(images[:3], graph.streams[graph.inputs[0]]).tobytes())
    loads = {}
    for name, seed in (("first", 0), ("second", 5)):
        loads[name] = project.words(file_of(project, seed, tmp_path / f"{seed}.weights"))
        (tmp_path / name).write_bytes(np.append(loads[name], np.uint64(0)).tobytes())
    flags = ["-std=c++14", "-O1", "-w", "-DMUXFLOW_CSIM", "-DMUXFLOW_NATIVE", "-Iinclude", "-Isrc"]
    command = ["g++", *flags, "src/top.cpp", str(tmp_path / "host.cpp"), "-o", str(tmp_path / "host")]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    done = subprocess.run(
        [str(tmp_path / "host"), str(bounded)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    words = np.array([int(line, 16) for line in done.stdout.split()], np.uint64).reshape(3, -1)
    sums = [checksum(loads[name]) for name in ("first", "second", "first")]
    assert words[:, 0].tolist() == sums
    met = unpack(words[:, 1:].reshape(-1), folded.graph.streams[graph.outputs[0]])
    np.testing.assert_array_equal(
        met, np.concatenate([network(seed)(images[i : i + 1]) for i, seed in enumerate((0, 5, 0))])
    )


def test_checksum_by_hand(project):
    """In plain loops; two words that change places, or one bit, are seen."""
    words = project.words(None)
    total = 0
    for word in words.tolist():
        total = (total << 1 | total >> 63) & (1 << 64) - 1 ^ word
    assert checksum(words) == total
    assert len(words) == project.memories.words
    swapped, flipped = words.copy(), words.copy()
    swapped[[3, 4]] = words[[4, 3]]
    flipped[7] ^= np.uint64(1 << 20)
    assert len({total, checksum(swapped), checksum(flipped)}) == 3
    assert checksum(words[:0]) == 0


@pytest.mark.needs("hls4ml")
@pytest.mark.parametrize("tool", ["vitis_hls", "vivado_hls"])
def test_vendor_view(tmp_path, tool):
    """As the vendor's tools see it: the recorded weights first, then the frames; the checksum is compared too."""
    project = built(forked(), tmp_path / "p", tool=tool)
    done = vendor(project, tmp_path / "vendor")
    assert done.stdout == "PASS: 4 frames, 0 differing words\n"
    file = project.path / "tb" / "weights.dat"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{int(lines[0], 16) ^ 1:016x}", *lines[1:]]) + "\n")
    run = subprocess.run(
        [str(tmp_path / "vendor" / "run")], cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.startswith("FAIL: the checksum of the weights is ")) == (1, True)


def test_written_text(project, golden):
    text = (project.path / "src" / "top.cpp").read_text()
    golden("loaded/top.cpp", text)
    golden("loaded/main.cpp", (project.path / "sim" / "main.cpp").read_text())
    golden("loaded/testbench.cpp", (project.path / "tb" / "testbench.cpp").read_text())
    assert "add_files -tb $here/tb/weights.dat" in (project.path / "run_hls.tcl").read_text()
    assert load_project(project.path).memories == project.memories


def test_ultra_ram_and_its_pragmas(tmp_path):
    """Deep memories of loaded weights in UltraRAM: as one memory, where block RAM would take banks."""
    rng = np.random.default_rng(0)
    nodes = [
        Node("rom", RomWeights(rng.integers(-127, 128, (96, 96))), (), ("w",)),
        Node("fc", MatrixVector(), ("x", "w"), ("y",)),
    ]
    graph = with_nodes(Graph("deep", (), {"x": Stream((1, 1, 96), 0, 3)}, ("x",), ("y",)), nodes)
    for uram, vitis, vivado in (
        (64, "bind_storage variable=rom_weights type=ram_s2p impl=uram", "core=XPM_MEMORY uram"),
        (0, "bind_storage variable=rom_weights type=ram_s2p impl=bram", "core=RAM_2P_BRAM"),
    ):
        device = replace(ULTRA, lut=2000, uram=uram)
        design = build_design(
            insert_forks(load_weights(graph)), {"fc": Fold(1, 1)}, KERNELS, device=device, board="b", clock_mhz=100
        )
        assert design.resources.uram == (3 if uram else 0)
        (placed,) = design.memories["rom"]
        assert placed.memory.banks == 3
        text = write_project(design, tmp_path / f"{uram}", options=LOADED)
        top = (text.path / "src" / "top.cpp").read_text()
        assert vitis in top
        assert f"LoadedTable<{1 if uram else 3}, {9216 if uram else 3072}, " in top
        assert ("array_partition variable=rom_weights complete dim=1" in top) == (not uram)
        other = write_project(design, tmp_path / f"{uram}v", options=replace(LOADED, tool="vivado_hls"))
        old = (other.path / "src" / "top.cpp").read_text()
        assert vivado in old
        x = rng.integers(0, 4, (3, 1, 1, 96))
        np.testing.assert_array_equal(run_csim(text, x).outputs, graph(x))


def test_frames_cost_the_look_for_weights(project):
    """A few cycles a frame in the timing; loading itself is in none of it."""
    design = project.design
    names = {node.name: node for node in design.graph.nodes}
    assert design.cycles(names["conv"]) == 20 * 3 * 9 + BEGIN
    assert design.cycles(names["side"]) == 20 * 2 * 2
    assert simulate(design.folded, design.depths).interval == design.slowest_cycles == 544


def test_one_frame_at_a_time_over_axi_lite(project, tmp_path, monkeypatch):
    timed = replace(project.design, timing=simulate(project.design.folded, project.design.depths))
    written = write_project(timed, tmp_path / "p", options=replace(LOADED, control="s_axilite"))
    assert written.design.interval == written.design.apart
    assert written.design.apart >= max(written.design.latency, written.design.slowest_cycles)
    assert project.design.apart is None
    # It is kept: a machine without a compiler reads what was simulated, and simulates nothing.
    monkeypatch.setattr("muxflow.dataflow.fit.timing.COMPILER", "no-compiler")
    again = load_project(written.path).design
    assert (again.apart, again.timing.completions) == (written.design.apart, written.design.timing.completions)
    assert project_report(muxflow.open_project(written.path), "").interval_is == "cycle simulation, one frame at a time"


def test_emulator(project, images, tmp_path):
    other = file_of(project, 7, tmp_path / "7.weights")
    with muxflow.Project(project).emulate() as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), network(0)(images))
        assert accelerator.self_test() == 16
        accelerator.load_weights(other)
        np.testing.assert_array_equal(accelerator.run(images), network(7)(images))
        with pytest.raises(AcceleratorError, match="the weights that the project was built with only"):
            accelerator.self_test()
        # What cannot be loaded changes nothing.
        with pytest.raises(AcceleratorError, match="no weight file"):
            accelerator.load_weights(project.path / "design.json")
        np.testing.assert_array_equal(accelerator.run(images), network(7)(images))
        accelerator.load_weights()
        assert accelerator.self_test() == 16
        assert accelerator.counters().inputs[0].frames == 2 * 5 + 5 + 2 * 16
    with muxflow.Project(project).emulate(weights=other) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), network(7)(images))


def test_loading_while_frames_are_under_way(project, images, monkeypatch):
    with muxflow.Project(project).emulate() as accelerator:
        monkeypatch.setattr(accelerator, "_unpack", lambda words: accelerator.load_weights())
        with pytest.raises(AcceleratorError, match=r"net: frames or weights are under way.*load them between calls"):
            accelerator.run(images)
        monkeypatch.undo()
        # Nor do frames come while another thread loads.
        monkeypatch.setattr(accelerator._backend, "load_weights", lambda *_: accelerator.run(images))
        with pytest.raises(AcceleratorError, match=r"net: frames or weights are under way; .*load them between calls"):
            accelerator.load_weights()
        monkeypatch.undo()
        np.testing.assert_array_equal(accelerator.run(images), network(0)(images))


def test_a_wrong_checksum(project, images, monkeypatch):
    """What comes back is not what was sent: the next run loads again before any frame."""
    with muxflow.Project(project).emulate() as accelerator:
        backend = accelerator._backend
        right = backend.load_weights
        monkeypatch.setattr(backend, "load_weights", lambda words, seconds: right(words, seconds) ^ 1)
        for call in (accelerator.load_weights, lambda: accelerator.run(images)):
            with pytest.raises(AcceleratorError, match=r"the checksum of the loaded weights is 0x.*, expected 0x"):
                call()
        monkeypatch.undo()
        np.testing.assert_array_equal(accelerator.run(images), network(0)(images))
