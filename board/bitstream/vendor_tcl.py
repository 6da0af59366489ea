"""Write the scripts and settings that the vendor's tools are run with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from muxflow.board.bitstream.toolchain import Form
from muxflow.board.board import Board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.outputs import write_below
from muxflow.dataflow.templates import templates
from muxflow.dataflow.version import __version__
from muxflow.hls.names import LOAD_PORTS, comment
from muxflow.hls.vitis.project import Project, vector_name

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
MONITOR = HERE / "ip" / "stream_monitor.v"
"""Watches and counts the words between DMA and accelerator, in the programmable logic."""

HLS_STEPS = ("csim", "csynth", "cosim", "export")
SCRIPTS = ("check_hls.tcl", "common.tcl", "check.tcl", "block_design.tcl", "implement.tcl")
PROCESSING_SYSTEMS = {"zynq-7000": "processing_system7", "zynq-ultrascale+": "zynq_ultra_ps_e"}

SMARTCONNECT_PORTS = 16
"""Most masters, and most slaves, of a SmartConnect (PG247)."""
INTERRUPTS = {"zynq-7000": 16, "zynq-ultrascale+": 8}
"""Lines of the processing system's interrupt input: IRQ_F2P (UG585), pl_ps_irq0 (UG1085)."""


@dataclass(frozen=True)
class Pair:
    """One DMA and its stream monitor: an input and an output, one of which may not be there.

    `input`, `output`: the Tcl command that finds the accelerator's pin, None for a port that is not there. `dma`, `monitor`:
    their cells; no monitor counts weights.
    """

    dma: str
    monitor: str | None
    input: str | None
    output: str | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The DMA's channels, as its parameters call them."""
        return tuple(kind for kind, pin in (("mm2s", self.input), ("s2mm", self.output)) if pin is not None)

    @property
    def unused(self) -> str | None:
        """The half of the monitor that has nothing to watch."""
        return "in" if self.input is None else "out" if self.output is None else None


def port_names(project: Project) -> tuple[list[str], list[str]]:
    """Give the AXI-Stream ports of the inputs and of the outputs, in order."""
    graph, ports = project.design.graph, project.names.ports
    return [ports[name] for name in graph.inputs], [ports[name] for name in graph.outputs]


def block_pairs(inputs: Sequence[str], outputs: Sequence[str], loads: Sequence[str] = ()) -> tuple[Pair, ...]:
    """Give the DMAs and monitors of an accelerator with these AXI ports, in order.

    `loads`: the ports that take weights and give their checksum, where weights are loaded; their pair comes last.
    """

    def pins(ports: Sequence[str], mode: str, other: str) -> list[str]:
        if len(ports) == 1:
            # The name is a word of Verilog, which each version renames in its own way.
            return [f"stream_pin accelerator {mode}{other and f' {other}'}"]
        return [f"port_pin accelerator {mode} {port}" for port in ports]

    take, give = loads or ("", "")
    found = zip_longest(pins(inputs, "Slave", take), pins(outputs, "Master", give))
    suffixed = ((f"_{number}" if number else "", pair) for number, pair in enumerate(found))
    pairs = [Pair(f"dma{suffix}", f"monitor{suffix}", *pair) for suffix, pair in suffixed]
    if loads:
        pairs.append(
            Pair("dma_weights", None, f"port_pin accelerator Slave {take}", f"port_pin accelerator Master {give}")
        )
    return tuple(pairs)


def _check_ports(project: Project, board: Board, pairs: Sequence[Pair]) -> None:
    """Raise MuxflowError when the block design has no room for so many inputs and outputs."""
    channels = sum(len(pair.kinds) for pair in pairs)
    registers = len(pairs) + sum(pair.monitor is not None for pair in pairs) + 1
    for what, met, most in (
        ("DMA channels at a SmartConnect", channels, SMARTCONNECT_PORTS),
        ("register blocks at a SmartConnect", registers, SMARTCONNECT_PORTS),
        (f"interrupts of {board.family}", channels, INTERRUPTS[board.family]),
    ):
        if met > most:
            raise MuxflowError(
                f"{project.path}: {project.design.graph.name} has {channels} inputs and outputs, which need {met} {what}; "
                f"the block design has {most}. Concatenate streams in the model, or connect the exported IP yourself "
                "(--until export)"
            )


def hls_results(form: Form) -> str:
    """Name the folder below the stages' folder in which an HLS tool leaves `syn`, `sim` and `impl`."""
    return "hls/hls" if form == "config" else "hls/solution"


def write_scripts(project: Project, board: Board, folder: Path, form: Form = "script") -> None:
    """Write the scripts for every stage, the HLS configuration and the monitor's source into `folder`.

    `form`: of the HLS tool, which decides where the block design finds the IP. Files that are the same already stay as
    they are. Raises MuxflowError when the board has no processing system, when the design has more inputs and outputs than
    the block design can connect, or when the folder cannot be written.
    """
    design = project.design
    inputs, outputs = port_names(project)
    pairs = block_pairs(inputs, outputs, LOAD_PORTS if project.loaders else ())
    _check_ports(project, board, pairs)
    values: dict[str, Any] = {
        "version": __version__,
        "board": board,
        "part": design.device.part,
        "board_parts": board.board_parts,
        "processing_system": PROCESSING_SYSTEMS[board.family],
        "ps_clock": f"{board.ps_clock_mhz:.9g}",
        "clock": f"{design.clock_mhz:.6g}",
        "period": f"{1000 / design.clock_mhz:.3f}",
        "tool": project.options.tool,
        "top": project.names.top,
        "flags": "-std=c++14 -I../include -I../src",
        "ip_folder": f"{hls_results(form)}/impl/ip",
        "pairs": pairs,
        "channels": [(pair.dma, kind) for pair in pairs for kind in pair.kinds],
        "named": len(pairs) > 1,
        "unpaired": any(pair.unused for pair in pairs),
        "loads": bool(project.loaders),
        "vectors": [
            *(vector_name(port) for port in (*inputs, *outputs)),
            *(["weights.dat"] if project.loaders else []),
        ],
    }
    environment = templates(TEMPLATES)
    environment.filters["comment"] = comment
    texts = {name: environment.get_template(f"{name}.j2").render(**values) for name in SCRIPTS}
    for step in HLS_STEPS:
        texts[f"{step}.tcl"] = environment.get_template("hls_step.tcl.j2").render(**values, step=step)
    if project.options.tool == "vitis_hls":
        texts["hls_config.cfg"] = environment.get_template("hls_config.cfg.j2").render(**values)
    try:
        texts[MONITOR.name] = MONITOR.read_text()
    except OSError as error:
        raise MuxflowError(f"{MONITOR}: cannot be read ({error.strerror}); install Muxflow again") from error
    contents = {name: text.encode() for name, text in texts.items()}
    write_below(folder, {name: data for name, data in contents.items() if not _holds(folder / name, data)})


def _holds(file: Path, data: bytes) -> bool:
    return file.is_file() and not file.is_symlink() and file.read_bytes() == data
