"""What this Vivado has: parts, board files, and the IPs that the block design uses, as far as their documented pins go."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

AXIS = "xilinx.com:interface:axis_rtl:1.0"
AXI = "xilinx.com:interface:aximm_rtl:1.0"

BOARD_PARTS = ("tul.com.tw:pynq-z2:part0:1.0", "xilinx.com:zcu104:part0:1.0", "xilinx.com:zcu104:part0:1.1")
PARTS = ("xc7z020clg400-1", "xc7z020clg484-1", "xczu7ev-ffvc1156-2-e", "xck26-sfvc784-2LV-c", "xczu3eg-sbva484-1-i")
IPS = (
    "xilinx.com:ip:processing_system7:5.5",
    "xilinx.com:ip:zynq_ultra_ps_e:3.3",
    "xilinx.com:ip:axi_dma:7.1",
    "xilinx.com:ip:proc_sys_reset:5.0",
    "xilinx.com:ip:smartconnect:1.0",
    "xilinx.com:ip:xlconcat:2.1",
    "xilinx.com:ip:xlconstant:1.1",
)


@dataclass
class Settings:
    """What this Vivado has, and how it behaves."""

    version: str = "2022.2"
    board_parts: tuple = BOARD_PARTS
    parts: tuple = PARTS
    ips: tuple = IPS
    bitstream: bool = True
    implemented: bool = True
    write_report: object = None


@dataclass(frozen=True)
class Pin:
    """A pin: direction I or O, kind (clk, rst_n, rst, intr, data), width in bits."""

    name: str
    direction: str
    kind: str = "data"
    width: int = 1


@dataclass(frozen=True)
class Interface:
    """An interface pin; `width`: data bits of a stream, 0 where unknown; `pins`: what it is made of, where that is known
    and each pin may be driven alone in place of the interface."""

    name: str
    mode: str
    vlnv: str
    width: int = 0
    pins: tuple[Pin, ...] = ()


def _on(properties, name, default="0"):
    return properties.get(f"CONFIG.{name}", default) == "1"


def _check(properties, *known):
    for name in properties:
        if name.removeprefix("CONFIG.") not in known:
            raise KeyError(name)


def processing_system7(p):
    _check(
        p,
        "PCW_USE_M_AXI_GP0",
        "PCW_USE_S_AXI_HP0",
        "PCW_S_AXI_HP0_DATA_WIDTH",
        "PCW_FPGA0_PERIPHERAL_FREQMHZ",
        "PCW_USE_FABRIC_INTERRUPT",
        "PCW_IRQ_F2P_INTR",
        "PCW_CRYSTAL_PERIPHERAL_FREQMHZ",
    )
    pins = [Pin("FCLK_CLK0", "O", "clk"), Pin("FCLK_RESET0_N", "O", "rst_n")]
    interfaces = []
    if _on(p, "PCW_USE_M_AXI_GP0", "1"):
        interfaces.append(Interface("M_AXI_GP0", "Master", AXI))
        pins.append(Pin("M_AXI_GP0_ACLK", "I", "clk"))
    if _on(p, "PCW_USE_S_AXI_HP0"):
        interfaces.append(Interface("S_AXI_HP0", "Slave", AXI))
        pins.append(Pin("S_AXI_HP0_ACLK", "I", "clk"))
    if _on(p, "PCW_USE_FABRIC_INTERRUPT") and _on(p, "PCW_IRQ_F2P_INTR"):
        pins.append(Pin("IRQ_F2P", "I", "intr", 0))
    return interfaces, pins


def zynq_ultra_ps_e(p):
    _check(
        p,
        "PSU__USE__M_AXI_GP0",
        "PSU__USE__M_AXI_GP1",
        "PSU__USE__M_AXI_GP2",
        "PSU__USE__S_AXI_GP2",
        "PSU__SAXIGP2__DATA_WIDTH",
        "PSU__FPGA_PL0_ENABLE",
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
        "PSU__CRL_APB__PL0_REF_CTRL__SRCSEL",
        "PSU__USE__IRQ0",
        "PSU__PSS_REF_CLK__FREQMHZ",
    )
    pins, interfaces = [Pin("pl_resetn0", "O", "rst_n")], []
    if _on(p, "PSU__FPGA_PL0_ENABLE", "1"):
        pins.append(Pin("pl_clk0", "O", "clk"))
    # The low-power master is on until it is switched off, and wants a clock.
    for number, name, default in (("0", "HPM0_FPD", "1"), ("1", "HPM1_FPD", "1"), ("2", "HPM0_LPD", "1")):
        if _on(p, f"PSU__USE__M_AXI_GP{number}", default):
            interfaces.append(Interface(f"M_AXI_{name}", "Master", AXI))
            pins.append(Pin(f"maxi{name.lower()}_aclk", "I", "clk"))
    if _on(p, "PSU__USE__S_AXI_GP2"):
        interfaces.append(Interface("S_AXI_HP0_FPD", "Slave", AXI))
        pins.append(Pin("saxihp0_fpd_aclk", "I", "clk"))
    if _on(p, "PSU__USE__IRQ0"):
        pins.append(Pin("pl_ps_irq0", "I", "intr", 0))
    return interfaces, pins


def axi_dma(p):
    _check(
        p,
        "c_include_sg",
        "c_sg_include_stscntrl_strm",
        "c_sg_length_width",
        "c_addr_width",
        "c_include_mm2s",
        "c_m_axi_mm2s_data_width",
        "c_m_axis_mm2s_tdata_width",
        "c_mm2s_burst_size",
        "c_include_s2mm",
        "c_m_axi_s2mm_data_width",
        "c_s_axis_s2mm_tdata_width",
        "c_s2mm_burst_size",
    )
    pins = [Pin("s_axi_lite_aclk", "I", "clk"), Pin("axi_resetn", "I", "rst_n")]
    interfaces = [Interface("S_AXI_LITE", "Slave", AXI)]
    if _on(p, "c_include_sg", "1"):
        interfaces.append(Interface("M_AXI_SG", "Master", AXI))
        pins.append(Pin("m_axi_sg_aclk", "I", "clk"))
        if _on(p, "c_sg_include_stscntrl_strm", "1"):
            interfaces += [Interface("M_AXIS_CNTRL", "Master", AXIS, 32), Interface("S_AXIS_STS", "Slave", AXIS, 32)]
    if _on(p, "c_include_mm2s", "1"):
        width = int(p.get("CONFIG.c_m_axis_mm2s_tdata_width", "32"))
        interfaces += [Interface("M_AXI_MM2S", "Master", AXI), Interface("M_AXIS_MM2S", "Master", AXIS, width)]
        pins += [Pin("m_axi_mm2s_aclk", "I", "clk"), Pin("mm2s_introut", "O", "intr")]
    if _on(p, "c_include_s2mm", "1"):
        width = int(p.get("CONFIG.c_s_axis_s2mm_tdata_width", "32"))
        interfaces += [Interface("M_AXI_S2MM", "Master", AXI), Interface("S_AXIS_S2MM", "Slave", AXIS, width)]
        pins += [Pin("m_axi_s2mm_aclk", "I", "clk"), Pin("s2mm_introut", "O", "intr")]
    return interfaces, pins


def smartconnect(p):
    _check(p, "NUM_SI", "NUM_MI", "NUM_CLKS")
    if any(int(p.get(f"CONFIG.{name}", "1")) > 16 for name in ("NUM_SI", "NUM_MI")):
        raise KeyError("value above 16")
    interfaces = [Interface(f"S{i:02d}_AXI", "Slave", AXI) for i in range(int(p.get("CONFIG.NUM_SI", "2")))]
    interfaces += [Interface(f"M{i:02d}_AXI", "Master", AXI) for i in range(int(p.get("CONFIG.NUM_MI", "1")))]
    return interfaces, [Pin("aclk", "I", "clk"), Pin("aresetn", "I", "rst_n")]


def proc_sys_reset(p):
    _check(p)
    return [], [
        Pin("slowest_sync_clk", "I", "clk"),
        Pin("ext_reset_in", "I", "rst_n"),
        Pin("interconnect_aresetn", "O", "rst_n"),
        Pin("peripheral_aresetn", "O", "rst_n"),
        Pin("peripheral_reset", "O", "rst"),
        Pin("mb_reset", "O", "rst"),
    ]


def concat(p):
    _check(p, "NUM_PORTS")
    ports = int(p.get("CONFIG.NUM_PORTS", "2"))
    return [], [*(Pin(f"In{i}", "I", "intr") for i in range(ports)), Pin("dout", "O", "intr", ports)]


def constant(p):
    _check(p, "CONST_VAL", "CONST_WIDTH")
    return [], [Pin("dout", "O", "data", int(p.get("CONFIG.CONST_WIDTH", "1")))]


CATALOG = {
    "processing_system7": processing_system7,
    "zynq_ultra_ps_e": zynq_ultra_ps_e,
    "axi_dma": axi_dma,
    "smartconnect": smartconnect,
    "proc_sys_reset": proc_sys_reset,
    "xlconcat": concat,
    "ilconcat": concat,
    "xlconstant": constant,
    "ilconstant": constant,
}

SPIRIT = "{http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009}"


def packaged(component: Path):
    """VLNV, interfaces and pins of a packaged IP."""
    root = ElementTree.parse(component).getroot()
    vlnv = ":".join(root.findtext(SPIRIT + name) or "" for name in ("vendor", "library", "name", "version"))
    interfaces, pins = [], []
    for bus in root.iter(SPIRIT + "busInterface"):
        kind = bus.find(SPIRIT + "busType").get(SPIRIT + "name")
        name = bus.findtext(SPIRIT + "name")
        mode = "Master" if bus.find(SPIRIT + "master") is not None else "Slave"
        if kind in ("axis", "aximm"):
            interfaces.append(Interface(name, mode, AXIS if kind == "axis" else AXI, 64 if kind == "axis" else 0))
        else:
            pins.append(Pin(name, "I", {"clock": "clk", "reset": "rst_n"}[kind]))
    return vlnv, (interfaces, pins)


def module(text: str, name: str):
    """Interfaces and pins that Vivado infers from the port names of a Verilog module; None when it is not there."""
    header = re.search(
        rf"\bmodule\s+{name}\b(.*?)\);", re.sub(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)", "", text, flags=re.DOTALL), re.DOTALL
    )
    if header is None:
        return None
    constants = {
        key: int(value) for key, value in re.findall(r"parameter\s+(?:integer\s+|int\s+)?(\w+)\s*=\s*(\d+)", header[1])
    }
    ports = {}
    for direction, span, names in re.findall(
        r"\b(input|output)\s+(?:wire\s+|reg\s+|logic\s+)?(?:\[([^\]]+)\]\s*)?(\w+)", header[1]
    ):
        width = 1
        if span:
            high, low = (
                eval(part, {"__builtins__": {}}, dict(constants)) for part in span.replace("/", "//").split(":")
            )
            width = high - low + 1
        ports[names] = (direction, width)
    interfaces, pins = [], []
    for port, (direction, width) in ports.items():
        if port.endswith("_tdata"):
            mode = "Slave" if direction == "input" else "Master"
            start = port.removesuffix("_tdata")
            made = []
            for signal, role in (
                ("tdata", True),
                ("tvalid", True),
                ("tready", False),
                ("tlast", True),
                ("tkeep", True),
            ):
                expected = "input" if (mode == "Slave") == role else "output"
                met, bits = ports.get(f"{start}_{signal}", ("", 0))
                if met != expected:
                    raise ValueError(f"{start}_{signal} is not an {expected}")
                made.append(Pin(f"{start}_{signal}", met[0].upper(), "data", bits))
            interfaces.append(Interface(start, mode, AXIS, width, tuple(made)))
        elif port.endswith("_awaddr"):
            mode = "Slave" if direction == "input" else "Master"
            interfaces.append(Interface(port.removesuffix("_awaddr"), mode, AXI))
        elif port.endswith("aclk"):
            pins.append(Pin(port, direction[0].upper(), "clk"))
        elif port.endswith("aresetn"):
            pins.append(Pin(port, direction[0].upper(), "rst_n"))
    return interfaces, pins
