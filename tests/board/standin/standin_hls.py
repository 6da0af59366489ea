"""A recording stand-in of the HLS tools: their Tcl commands, and the configuration file of v++ and vitis-run."""

import shutil
from pathlib import Path

from standin_tcl import Recorded, VendorError

COMPONENT = """<?xml version="1.0" encoding="UTF-8"?>
<spirit:component xmlns:spirit="http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009">
  <spirit:vendor>{vendor}</spirit:vendor>
  <spirit:library>{library}</spirit:library>
  <spirit:name>{name}</spirit:name>
  <spirit:version>{version}</spirit:version>
  <spirit:busInterfaces>
{buses}
  </spirit:busInterfaces>
</spirit:component>
"""
BUS = """    <spirit:busInterface>
      <spirit:name>{name}</spirit:name>
      <spirit:busType spirit:vendor="xilinx.com" spirit:library="{library}" spirit:name="{kind}" spirit:version="1.0"/>
      <spirit:{mode}/>
    </spirit:busInterface>"""
CONFIG_KEYS = {
    "part",
    "clock",
    "flow_target",
    "syn.top",
    "syn.file",
    "syn.cflags",
    "syn.csimflags",
    "tb.file",
    "tb.cflags",
    "syn.compile.pipeline_style",
    "syn.dataflow.strict_mode",
    "syn.dataflow.disable_fifo_sizing_opt",
    "package.output.format",
    "package.output.syn",
    "package.ip.vendor",
    "package.ip.library",
    "package.ip.name",
    "package.ip.version",
    "package.ip.display_name",
}
"""Keys of UG1399's table of Tcl commands and configuration keys, and of its package options."""


def component(vendor, library, name, version, control=False, inputs=("input_r",), outputs=("output_r",)):
    """component.xml of an accelerator; `input` and `output` are words of Verilog, so such ports are renamed."""
    buses = [(port, "axis", "slave") for port in inputs] + [(port, "axis", "master") for port in outputs]
    if control:
        buses.append(("s_axi_control", "aximm", "slave"))
    text = [BUS.format(name=name, kind=kind, library="interface", mode=mode) for name, kind, mode in buses]
    text.append(BUS.format(name="ap_clk", kind="clock", library="signal", mode="slave"))
    text.append(BUS.format(name="ap_rst_n", kind="reset", library="signal", mode="slave"))
    return COMPONENT.format(vendor=vendor, library=library, name=name, version=version, buses="\n".join(text))


class Hls(Recorded):
    """State of an HLS tool; `report(kind)` gives the text of a report; `parts` that it knows."""

    def __init__(self, folder: Path, product: str, parts, report) -> None:
        super().__init__()
        self.folder, self.product, self.parts, self.report = folder, product, parts, report
        self.project: Path | None = None
        self.solution: Path | None = None
        self.top = ""
        self.sources: list[Path] = []
        self.part = ""

    def do_open_project(self, *args):
        # Both interpreters change folder themselves, so the working directory is the script's.
        self.project = Path.cwd() / args[-1]
        if "-reset" in args and self.project.exists():
            shutil.rmtree(self.project)
        self.project.mkdir(exist_ok=True)
        state = self.project / "hls.app"
        if state.exists():
            self.top, self.part = state.read_text().split()

    def do_set_top(self, name):
        self.top = name

    def do_add_files(self, *args):
        names = [word for i, word in enumerate(args) if not word.startswith("-") and args[i - 1] != "-cflags"]
        for name in names:
            if not Path(name).is_file():
                raise VendorError(f"[HLS 200-642] The file '{name}' does not exist")
            self.sources.append(Path(name))
        if "-cflags" in args:
            check_flags(args[args.index("-cflags") + 1], Path.cwd())

    def do_open_solution(self, *args):
        if self.project is None:
            raise VendorError("[HLS 200-101] 'open_solution': no project is open")
        if ("-flow_target" in args) and self.product == "Vivado HLS":
            raise VendorError("[HLS 200-101] 'open_solution': Unknown option '-flow_target'")
        self.solution = self.project / next(word for word in args if not word.startswith("-"))
        self.solution.mkdir(exist_ok=True)

    def do_set_part(self, part):
        if part not in self.parts:
            raise VendorError(f"[HLS 200-1023] Part '{part}' is not installed.")
        self.part = part
        if self.top:
            (self.project / "hls.app").write_text(f"{self.top} {part}")

    def do_create_clock(self, *args):
        if float(args[args.index("-period") + 1]) <= 0:
            raise VendorError("period")

    def do_config_dataflow(self, *args):
        if self.product == "Vivado HLS":
            raise VendorError("[HLS 200-101] 'config_dataflow': Unknown option '-strict_mode'")
        check_options(
            "config_dataflow", args, {"-strict_mode": ("off", "warning", "error")}, "-disable_fifo_sizing_opt"
        )

    def do_config_compile(self, *args):
        if self.product == "Vivado HLS":
            raise VendorError("[HLS 200-101] 'config_compile': Unknown option '-pipeline_style'")
        check_options("config_compile", args, {"-pipeline_style": ("stp", "frp", "flp")})

    def do_csim_design(self):
        self._need(sources=True)
        print("INFO: [SIM 211-2] *************** CSIM start ***************")
        print("PASS: 4 frames, 0 differing words")

    def do_csynth_design(self):
        self._need(sources=True)
        synthesise(self.solution, self.top, self.report, self.product)

    def do_cosim_design(self):
        self._need()
        cosimulate(self.solution, self.top, self.report)

    def do_export_design(self, *args):
        self._need()
        options = dict(zip(args[::2], args[1::2], strict=True))
        if options["-format"] != "ip_catalog":
            raise VendorError(f"format {options['-format']}")
        export(self.solution, options["-vendor"], options["-library"], self.top, options["-version"])

    def _need(self, sources=False):
        if not (self.project and self.solution and self.top and self.part) or (sources and not self.sources):
            raise VendorError("[HLS 200-70] no top function, sources, solution or part")


def check_options(command, args, choices, *flags):
    """Every option is known, and those with a value have one of their choices."""
    left = list(args)
    while left:
        option = left.pop(0)
        if option not in flags and (option not in choices or not left or left.pop(0) not in choices[option]):
            raise VendorError(f"[HLS 200-101] '{command}': Unknown option '{option}'")


def check_flags(flags, folder):
    """Every include folder must be there."""
    for flag in flags.split():
        if flag.startswith("-I") and not (folder / flag[2:]).is_dir():
            raise VendorError(f"include folder {flag} does not exist")


def synthesise(solution, top, report, product):
    """What a synthesis leaves."""
    print(f"INFO: [HLS 200-10] Analyzing design file '{top}.cpp' ...")
    print(f"INFO: [HLS 200-42] -- Implementing module '{top}'")
    (solution / "syn" / "report").mkdir(parents=True, exist_ok=True)
    (solution / "syn" / "verilog").mkdir(exist_ok=True)
    (solution / "syn" / "verilog" / f"{top}.v").write_text(f"module {top}; endmodule\n")
    text = report("csynth.xml")
    (solution / "syn" / "report" / f"{top}_csynth.xml").write_text(text)
    if product != "Vivado HLS":
        (solution / "syn" / "report" / "csynth.xml").write_text(text)


def cosimulate(solution, top, report):
    """What a co-simulation leaves."""
    if not (solution / "syn" / "verilog" / f"{top}.v").exists():
        raise VendorError("[COSIM 212-5] no RTL: run csynth_design first")
    (solution / "sim" / "report").mkdir(parents=True, exist_ok=True)
    (solution / "sim" / "report" / f"{top}_cosim.rpt").write_text(report("cosim.rpt"))


def export(solution, vendor, library, top, version):
    """What packaging leaves."""
    if not (solution / "syn" / "verilog" / f"{top}.v").exists():
        raise VendorError("[IMPL 213-28] no RTL: run csynth_design first")
    (solution / "impl" / "ip").mkdir(parents=True, exist_ok=True)
    (solution / "impl" / "ip" / "component.xml").write_text(component(vendor, library, top, version))


def run_config(step, config: Path, work: Path, parts, report):
    """A step of the configuration-file form."""
    values: dict[str, list[str]] = {}
    section = ""
    for line in config.read_text().splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line
            continue
        key, _, value = line.partition("=")
        if key not in CONFIG_KEYS or (key == "part") != (section == ""):
            raise VendorError(f"unrecognised option '{key}' in {config}, section {section or 'none'}")
        values.setdefault(key, []).append(value)
    for key in ("syn.file", "tb.file"):
        for name in values[key]:
            if not (config.parent / name).is_file():
                raise VendorError(f"[HLS 200-642] The file '{name}' does not exist")
    for key in ("syn.cflags", "tb.cflags"):
        check_flags(values[key][0], config.parent)
    if values["part"][0] not in parts or values["flow_target"] != ["vivado"] or not values["clock"][0].endswith("ns"):
        raise VendorError("[HLS 200-1023] part, flow target or clock")
    top = values["syn.top"][0]
    solution = work / "hls"
    solution.mkdir(parents=True, exist_ok=True)
    if step == "csim":
        print("PASS: 4 frames, 0 differing words")
    elif step == "csynth":
        synthesise(solution, top, report, "Vitis HLS")
    elif step == "cosim":
        cosimulate(solution, top, report)
    else:
        assert values["package.output.format"] == ["ip_catalog"]
        names = (values[f"package.ip.{name}"][0] for name in ("vendor", "library", "name", "version"))
        export(solution, *names)
