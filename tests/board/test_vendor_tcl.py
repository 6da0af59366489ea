"""The generated scripts, run in a real Tcl interpreter against stand-ins that object where the vendor's tools would."""

import re
from pathlib import Path

import pytest
from standin_catalog import PARTS, Settings
from standin_hls import Hls, component
from standin_tcl import TclError, run_in_process, run_in_tclsh, run_script
from standin_vivado import Vivado

from muxflow.board.bitstream import vendor_tcl
from muxflow.board.bitstream.vendor_tcl import write_scripts
from muxflow.board.board import Board, boards, find_board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.device import Device


@pytest.fixture
def make_scripts(make_project):
    """`make_scripts(board)`: the folder with the scripts, and an accelerator's IP as synthesis would leave it."""

    def make(board="pynq-z2", control=False, form="script", **options):
        project = make_project(board, **options)
        folder = project.path / "bitstream"
        write_scripts(project, find_board(board), folder, form)
        ip = folder / vendor_tcl.hls_results(form) / "impl" / "ip" / "component.xml"
        ip.parent.mkdir(parents=True)
        ip.write_text(component("muxflow", "hls", "dense", "1.0", control))
        return folder

    return make


def run(folder, script="block_design.tcl", **settings):
    vivado = Vivado(Settings(**settings))
    assert run_script(folder / script, vivado.commands()) == 0
    return vivado


def test_golden_scripts(make_scripts, golden):
    for board in ("pynq-z2", "zcu104"):
        folder = make_scripts(board, name=board)
        for name in ("block_design.tcl", "common.tcl", "check.tcl", "implement.tcl", "hls_config.cfg"):
            golden(f"{board}/{name}", (folder / name).read_text())
    folder = make_scripts("zedboard", tool="vivado_hls", name="old")
    for name in ("check_hls.tcl", "csynth.tcl"):
        golden(f"vivado_hls/{name}", (folder / name).read_text())
    assert not (folder / "hls_config.cfg").exists()


@pytest.mark.parametrize("board", sorted(boards()))
def test_the_block_design_of_every_board(make_scripts, board):
    folder = make_scripts(board)
    parts = (*PARTS, find_board(board).device.part)
    vivado = run(folder, parts=parts)
    assert set(vivado.cells) == {"ps", "dma", "accelerator", "monitor", "reset", "memory", "control", "interrupts"}
    assert vivado.links["/dma/M_AXIS_MM2S"] == "/monitor/s_in"
    assert vivado.links["/monitor/m_in"] == "/accelerator/input_r"
    assert vivado.links["/accelerator/output_r"] == "/monitor/s_out"
    assert vivado.links["/monitor/m_out"] == "/dma/S_AXIS_S2MM"
    dma = vivado.cells["dma"].properties
    assert (dma["CONFIG.c_include_sg"], dma["CONFIG.c_sg_length_width"]) == ("0", "26")
    facts = (folder / "results" / "block_design.txt").read_text()
    assert f"clock_hz {find_board(board).clock_mhz * 1e6:.0f}\n" in facts


PORTS = {
    "two inputs": (("input_left", "input_right"), ("output",)),
    "two outputs": (("input",), ("output_a", "output_b")),
    "two of each": (("input_left", "input_right"), ("output_a", "output_b")),
    "three inputs": (("input_a", "input_b", "input_c"), ("output_a", "output_b")),
}


@pytest.fixture
def make_ports(make_scripts, monkeypatch):
    """`make_ports(inputs, outputs, board)`: as `make_scripts`, for an accelerator with these AXI-Stream ports."""

    def make(inputs, outputs, board="pynq-z2", names=None, **options):
        monkeypatch.setattr(vendor_tcl, "port_names", lambda project: (list(inputs), list(outputs)))
        folder = make_scripts(board, **options)
        # A single port has a word of Verilog for a name, and the tools rename it.
        pins = [tuple(f"{port}_r" if len(ports) == 1 else port for port in ports) for ports in (inputs, outputs)]
        ip = next(folder.rglob("component.xml"))
        ip.write_text(component("muxflow", "hls", "dense", "1.0", options.get("control", False), *(names or pins)))
        return folder

    return make


@pytest.mark.parametrize("board", ["pynq-z2", "zcu104"])
@pytest.mark.parametrize("ports", PORTS)
def test_the_block_design_of_several_ports(make_ports, board, ports):
    inputs, outputs = PORTS[ports]
    folder = make_ports(inputs, outputs, board)
    assert run_script(folder / "check.tcl", Vivado().commands()) == 0
    vivado = run(folder)
    suffixes = ["", "_1", "_2"][: max(len(inputs), len(outputs))]
    pairs = {f"{name}{suffix}" for name in ("dma", "monitor") for suffix in suffixes}
    unpaired = len(inputs) != len(outputs)
    zeros = {"zeros_1", "zeros_8", "zeros_64"} if unpaired else set()
    others = {"ps", "accelerator", "reset", "memory", "control", "interrupts"}
    assert set(vivado.cells) == pairs | zeros | others
    for number, suffix in enumerate(suffixes):
        dma = vivado.cells[f"dma{suffix}"].properties
        has = number < len(inputs), number < len(outputs)
        assert (dma["CONFIG.c_include_mm2s"], dma["CONFIG.c_include_s2mm"]) == tuple(str(int(one)) for one in has)
        if number < len(inputs):
            pin = inputs[number] if len(inputs) > 1 else "input_r"
            assert vivado.links[f"/dma{suffix}/M_AXIS_MM2S"] == f"/monitor{suffix}/s_in"
            assert vivado.links[f"/monitor{suffix}/m_in"] == f"/accelerator/{pin}"
        else:
            assert vivado.drivers[f"/monitor{suffix}/s_in_tvalid"] == "/zeros_1/dout"
        if number < len(outputs):
            pin = outputs[number] if len(outputs) > 1 else "output_r"
            assert vivado.links[f"/accelerator/{pin}"] == f"/monitor{suffix}/s_out"
            assert vivado.links[f"/monitor{suffix}/m_out"] == f"/dma{suffix}/S_AXIS_S2MM"
        else:
            assert vivado.drivers[f"/monitor{suffix}/m_out_tready"] == "/zeros_1/dout"
        for register in (f"/dma{suffix}/S_AXI_LITE", f"/monitor{suffix}/s_axi"):
            assert vivado.links[register].startswith("/control/") and register in vivado.addressed
    count = str(len(inputs) + len(outputs))
    assert vivado.cells["memory"].properties["CONFIG.NUM_SI"] == count
    assert vivado.cells["interrupts"].properties["CONFIG.NUM_PORTS"] == count
    assert vivado.cells["control"].properties["CONFIG.NUM_MI"] == str(2 * len(suffixes))


@pytest.mark.parametrize("board", ["pynq-z2", "zcu104"])
@pytest.mark.parametrize("ports", [(("input",), ("output",)), PORTS["two inputs"]])
def test_the_block_design_with_loaded_weights(make_ports, board, ports):
    """One DMA more, which no monitor watches; the data's pin is the one beside the port of weights."""
    inputs, outputs = ports
    names = [
        (*(f"{port}_r" if len(own) == 1 else port for port in own), more)
        for own, more in ((inputs, "weights"), (outputs, "checksum"))
    ]
    folder = make_ports(inputs, outputs, board, names, weights="loaded")
    assert run_script(folder / "check.tcl", Vivado().commands()) == 0
    vivado = run(folder)
    assert vivado.links["/dma_weights/M_AXIS_MM2S"] == "/accelerator/weights"
    assert vivado.links["/accelerator/checksum"] == "/dma_weights/S_AXIS_S2MM"
    assert vivado.links["/monitor/m_in"] == f"/accelerator/{names[0][0]}"
    assert vivado.links["/accelerator/output_r"] == "/monitor/s_out"
    register = "/dma_weights/S_AXI_LITE"
    assert vivado.links[register].startswith("/control/") and register in vivado.addressed
    assert "monitor_weights" not in vivado.cells
    count = str(len(inputs) + len(outputs) + 2)
    assert vivado.cells["memory"].properties["CONFIG.NUM_SI"] == count
    assert vivado.cells["interrupts"].properties["CONFIG.NUM_PORTS"] == count
    assert vivado.cells["control"].properties["CONFIG.NUM_MI"] == str(2 * len(inputs) + 1)
    assert "weights.dat" in (folder / "hls_config.cfg").read_text()


def test_a_port_is_found_under_the_name_that_a_tool_gives_it(make_ports):
    names = (("input_left_V", "input_left_r_V"), ("output_r",))
    vivado = run(make_ports(("input_left", "input_left_r"), ("output",), names=names))
    assert vivado.links["/monitor/m_in"] == "/accelerator/input_left_V"
    assert vivado.links["/monitor_1/m_in"] == "/accelerator/input_left_r_V"


def test_a_port_that_the_ip_does_not_have(make_ports, capfd):
    folder = make_ports(*PORTS["two outputs"], names=(("input_r",), ("output_a", "output_c")))
    assert run_script(folder / "block_design.tcl", Vivado().commands()) == 1
    message = "accelerator has no AXI-Stream pin of mode Master for the port output_b, only output_a, output_c"
    assert message in capfd.readouterr().out


@pytest.mark.parametrize(
    ("board", "inputs", "outputs", "message"),
    [
        ("zcu104", 5, 4, "9 inputs and outputs, which need 9 interrupts of zynq-ultrascale\\+; the block design has 8"),
        ("pynq-z2", 8, 1, "9 inputs and outputs, which need 17 register blocks at a SmartConnect"),
    ],
)
def test_more_ports_than_the_block_design_connects(make_ports, board, inputs, outputs, message):
    with pytest.raises(MuxflowError, match=message):
        make_ports([f"input_{i}" for i in range(inputs)], [f"output_{i}" for i in range(outputs)], board)


@pytest.mark.parametrize("board", ["pynq-z2", "zcu104"])
def test_an_accelerator_with_registers_is_connected_to_the_processor(make_scripts, board):
    vivado = run(make_scripts(board, control=True))
    assert vivado.links["/accelerator/s_axi_control"] == "/control/M02_AXI"
    assert vivado.cells["control"].properties["CONFIG.NUM_MI"] == "3"


def test_the_newest_of_several_versions_is_taken(make_scripts):
    ips = ("xilinx.com:ip:axi_dma:7.1", "xilinx.com:ip:axi_dma:7.10", "xilinx.com:ip:axi_dma:7.2")
    folder = make_scripts("zcu104")
    vivado = run(folder, ips=(*Settings().ips, *ips))
    assert vivado.cells["dma"].vlnv == "xilinx.com:ip:axi_dma:7.10"
    # Likewise the board files.
    assert vivado.properties["board_part"] == "xilinx.com:zcu104:part0:1.1"


def test_a_vivado_without_xlconcat_gets_the_inline_concatenation(make_scripts):
    ips = (*(ip for ip in Settings().ips if "xlconcat" not in ip), "xilinx.com:inline_hdl:ilconcat:1.0")
    vivado = run(make_scripts(), ips=ips, version="2025.1")
    assert vivado.cells["interrupts"].vlnv == "xilinx.com:inline_hdl:ilconcat:1.0"


def test_the_handoff_of_2019_2_is_found(make_scripts):
    folder = make_scripts()
    run(folder, version="2019.2")
    assert (folder / "results" / "system.hwh").exists()


@pytest.mark.parametrize(("board", "name"), [("pynq-z2", "PCW_CRYSTAL"), ("zcu104", "PSS_REF_CLK")])
def test_without_board_files_no_preset_is_applied_and_the_clock_input_is_told(make_scripts, board, name):
    vivado = run(make_scripts(board), board_parts=())
    assert "board_part" not in vivado.properties
    given = {key: value for key, value in vivado.cells["ps"].properties.items() if name in key}
    assert list(given.values()) == [f"{find_board(board).ps_clock_mhz:.9g}"]


def test_python_and_tclsh_run_a_script_alike(make_scripts):
    pytest.importorskip("tkinter", reason="this Python has no tkinter: its Tcl cannot be compared with tclsh")
    made = []
    for runner in (run_in_process, run_in_tclsh):
        vivado = Vivado()
        folder = make_scripts(name=runner.__name__)
        assert runner(folder / "block_design.tcl", vivado.commands()) == 0
        made.append([tuple(word.replace(str(folder), "") for word in call) for call in vivado.calls])
    assert made[0] == made[1]
    assert len(made[0]) > 100


@pytest.mark.parametrize(
    ("board", "ports"),
    [("pynq-z2", (("input",), ("output",))), ("zcu104", (("input",), ("output",))), ("zcu104", PORTS["three inputs"])],
)
def test_every_broken_block_design_is_caught(make_ports, board, ports):
    """Each line that connects or creates is left out in turn, and the stand-in objects to every one."""
    folder = make_ports(*ports, board)
    text = (folder / "block_design.tcl").read_text()
    essential = r"^ *(?:create |create_bd_|connect_bd_|update_ip_catalog"
    essential += r"|add_files|assign_|validate_|save_|generate_|set_property top)"
    lines = text.splitlines(keepends=True)
    numbers = [number for number, line in enumerate(lines) if re.match(essential, line)]
    assert len(numbers) > 25
    survived = []
    for number in numbers:
        broken = folder / "broken.tcl"
        broken.write_text("".join(lines[:number] + lines[number + 1 :]))
        try:
            if run_script(broken, Vivado().commands()) == 0:
                survived.append(lines[number])
        except TclError:
            continue
    assert survived == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dma/M_AXIS_MM2S", "dma/M_AXIS_MM2", "no such interface pin"),
        ("get_bd_intf_pins dma/M_AXIS_MM2S", "get_bd_intf_pins dma/S_AXIS_S2MM", "do not fit"),
        (
            "[get_bd_intf_pins dma/M_AXI_MM2S] [get_bd_intf_pins memory/S00_AXI]",
            "[get_bd_intf_pins dma/M_AXIS_MM2S] [get_bd_intf_pins memory/S00_AXI]",
            "connected already",
        ),
        ("mm2s_tdata_width 64", "mm2s_tdata_width 32", "32 bits"),
        ("s2mm_tdata_width 64", "s2mm_tdata_width 128", "128"),
        ("reset/peripheral_aresetn", "reset/peripheral_reset", r"is driven by /reset/peripheral_reset \(rst\)"),
        ("[get_bd_pins $clock]", "[get_bd_pins $reset]", "is driven by"),
        ("ps/M_AXI_GP0_ACLK ", "", "M_AXI_GP0_ACLK is not driven"),
        ("c_include_sg 0", "c_include_sg 1", "M_AXI_SG is not connected"),
        ("CONFIG.c_sg_length_width", "CONFIG.c_length_width", "has no property"),
        ("NUM_PORTS 2", "NUM_PORTS 3", "In2 is not driven"),
        ("NUM_SI 2", "NUM_SI 1", "no such interface pin"),
        ("CONFIG.PCW_USE_S_AXI_HP0 1", "CONFIG.PCW_USE_S_AXI_HP0 0", "no such interface pin"),
        ("stream_monitor monitor", "stream_monito monitor", "is not in the project's sources"),
        ("assign_bd_address\nvalidate", "validate", "has no address"),
        ("[get_bd_cells dma]", "[get_bd_cells dna]", "expects at least one object"),
        ("set_property board_part $board_part", "set_property board_part tul.com.tw:pynq-z9:part0:1.0", "is not valid"),
    ],
)
def test_a_wrong_block_design_is_caught_with_its_reason(make_scripts, old, new, message):
    folder = make_scripts()
    text = (folder / "block_design.tcl").read_text()
    assert old in text
    (folder / "block_design.tcl").write_text(text.replace(old, new))
    with pytest.raises(TclError, match=message):
        run(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ("xc7z010clg400-1",)}, "does not know the part xc7z020clg400-1"),
        ({"ips": tuple(ip for ip in Settings().ips if "axi_dma" not in ip)}, "no IP named axi_dma"),
    ],
)
def test_the_check_says_what_this_vivado_lacks(make_scripts, capfd, settings, message):
    folder = make_scripts()
    assert run_script(folder / "check.tcl", Vivado(Settings(**settings)).commands()) == 1
    assert message in capfd.readouterr().out
    assert not (folder / "results" / "check.txt").exists()


def test_the_monitor_has_the_interfaces_that_the_block_design_connects():
    from standin_catalog import AXI, AXIS, module

    interfaces, pins = module(vendor_tcl.MONITOR.read_text(), "stream_monitor")
    assert {(one.name, one.mode, one.vlnv, one.width) for one in interfaces} == {
        ("s_in", "Slave", AXIS, 64),
        ("m_in", "Master", AXIS, 64),
        ("s_out", "Slave", AXIS, 64),
        ("m_out", "Master", AXIS, 64),
        ("s_axi", "Slave", AXI, 0),
    }
    assert {(pin.name, pin.kind) for pin in pins} == {("aclk", "clk"), ("aresetn", "rst_n")}


def test_a_board_without_a_processing_system_is_refused(make_project):
    class Artix(Board):
        name = "arty"
        title = "Arty"
        device = Device("xc7a35ticsg324-1L", lut=20800, ff=41600, bram18=100, dsp=90)
        clock_mhz = 100.0
        tools = "Vitis HLS"
        products = "HLS project"

    project = make_project()
    with pytest.raises(MuxflowError, match=r"board arty: part xc7a35ticsg324-1L has no processing system"):
        write_scripts(project, Artix(), project.path / "bitstream")


def test_a_missing_monitor_is_named(make_project, monkeypatch, tmp_path):
    project = make_project()
    monkeypatch.setattr(vendor_tcl, "MONITOR", tmp_path / "none.v")
    with pytest.raises(MuxflowError, match=r"none\.v: cannot be read"):
        write_scripts(project, find_board("pynq-z2"), project.path / "bitstream")


def test_scripts_are_the_same_twice_and_name_no_machine(make_project):
    project = make_project()
    folder = project.path / "bitstream"
    write_scripts(project, find_board("pynq-z2"), folder)
    first = {file.name: file.read_bytes() for file in folder.iterdir()}
    times = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    write_scripts(project, find_board("pynq-z2"), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == times
    assert not any(str(Path(folder).parent).encode() in text for text in first.values())


# --------------------------------------------------------------------------------------------------------------------
# run_hls.tcl, which users run too.


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ((), ["csim", "csynth", "export"]),
        (("-f", "run_hls.tcl", "-tclargs", "csynth", "cosim"), ["csynth", "cosim"]),
        (("csim",), ["csim"]),
    ],
)
@pytest.mark.parametrize(("tool", "product"), [("vitis_hls", "Vitis HLS"), ("vivado_hls", "Vivado HLS")])
def test_run_hls(make_project, monkeypatch, arguments, steps, tool, product):
    project = make_project(tool=tool)
    monkeypatch.chdir(project.path)
    hls = Hls(project.path, product, PARTS, lambda kind: "report")
    assert run_script(project.path / "run_hls.tcl", hls.commands(), arguments) == 0
    designs = [name.removesuffix("_design") for name, *_ in hls.calls if name.endswith("_design")]
    assert designs == steps
    assert (project.path / ("csim_hls" if steps == ["csim"] else "hls")).is_dir()
    if "export" in steps:
        text = (project.path / "hls/solution/impl/ip/component.xml").read_text()
        assert "<spirit:vendor>muxflow<" in text and "<spirit:name>dense<" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("src/top.cpp", "src/tip.cpp", r"tip\.cpp' does not exist"),
        ("-I$here/include", "-I$here/headers", "headers does not exist"),
        ("set_top dense\n", "\n", "no top function"),
        ("  set_part xc7z020clg400-1\n", "\n", "no top function, sources, solution or part"),
        ("open_solution -reset", "open_project -reset x; open_solution", None),
    ],
)
def test_a_wrong_run_hls_is_caught(make_project, monkeypatch, old, new, message):
    project = make_project()
    script = project.path / "run_hls.tcl"
    assert old in script.read_text()
    script.write_text(script.read_text().replace(old, new))
    monkeypatch.chdir(project.path)
    hls = Hls(project.path, "Vitis HLS", PARTS, lambda kind: "report")
    with pytest.raises(TclError, match=message):
        run_script(script, hls.commands(), ("cosim", "export") if message is None else ())
