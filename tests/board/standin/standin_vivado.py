"""A recording stand-in of Vivado's Tcl commands: it does nothing, but objects where Vivado would."""

import fnmatch
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from standin_catalog import AXI, CATALOG, Interface, Pin, Settings, module, packaged
from standin_tcl import Recorded, VendorError, make_list, split_list

RUNS = ("synth_1", "impl_1")


@dataclass
class Cell:
    name: str
    vlnv: str
    properties: dict = field(default_factory=dict)
    fixed: tuple | None = None

    def pins(self):
        if self.fixed is not None:
            return self.fixed
        return CATALOG[self.vlnv.split(":")[2]](self.properties)


class Vivado(Recorded):
    """The state of the commands; `calls` records them."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.folder: Path | None = None
        self.properties: dict[str, str] = {}
        self.catalog: dict[str, tuple] = {}
        self.sources: list[Path] = []
        self.cells: dict[str, Cell] = {}
        self.design: str | None = None
        self.links: dict[str, str] = {}
        self.drivers: dict[str, str] = {}
        self.addressed: set[str] = set()
        self.validated = self.saved = self.opened_run = False
        self.launched: set[str] = set()

    # ---- helpers

    def _need_project(self):
        if self.folder is None and "in_memory" not in self.properties:
            raise VendorError("[Common 17-53] User Exception: No open project.")

    def _need_design(self):
        self._need_project()
        if self.design is None:
            raise VendorError("[BD 5-104] no block design is open")

    def _pin(self, path) -> Pin | None:
        cell, _, name = path.lstrip("/").partition("/")
        if cell not in self.cells:
            return None
        interfaces, pins = self.cells[cell].pins()
        parts = [pin for one in interfaces for pin in one.pins]
        return next((pin for pin in (*pins, *parts) if pin.name == name), None)

    def _interface(self, path) -> Interface | None:
        cell, _, name = path.lstrip("/").partition("/")
        if cell not in self.cells:
            return None
        return next((one for one in self.cells[cell].pins()[0] if one.name == name), None)

    def _parts(self, path, interface):
        """The input pins of an interface, by path."""
        cell = path.lstrip("/").split("/")[0]
        return [f"/{cell}/{pin.name}" for pin in interface.pins if pin.direction == "I"]

    def _changed(self):
        self.validated = self.saved = False

    # ---- project

    def do_version(self, *args):
        return self.settings.version

    def do_create_project(self, *args):
        options = list(args)
        part = options.pop(options.index("-part") + 1)
        options.remove("-part")
        if part not in self.settings.parts:
            raise VendorError(f"[Coretcl 2-106] Specified part could not be found: {part}")
        self.properties["part"] = part
        if "-in_memory" in options:
            self.properties["in_memory"] = "1"
            return
        name, folder = [one for one in options if not one.startswith("-")]
        self.folder = Path(folder)
        if self.folder.exists():
            if "-force" not in options:
                raise VendorError(f"[Project 1-3] project already exists in {folder}")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / f"{name}.xpr").write_text("stand-in\n")

    def do_open_project(self, file):
        if not Path(file).is_file():
            raise VendorError(f"[Coretcl 2-27] Can't find specified project {file}")
        self.folder = Path(file).parent
        for run in RUNS:
            (self.folder / run).mkdir(exist_ok=True)

    def do_current_project(self):
        self._need_project()
        return "system"

    def do_current_fileset(self):
        return "sources_1"

    def do_get_parts(self, *args):
        return make_list(part for part in self.settings.parts if part == args[-1])

    def do_get_board_parts(self, *args):
        return make_list(part for part in self.settings.board_parts if fnmatch.fnmatch(part, args[-1]))

    def do_get_ipdefs(self, *args):
        self._need_project()
        known = [*self.settings.ips, *self.catalog]
        return make_list(vlnv for vlnv in known if fnmatch.fnmatch(vlnv, args[-1]))

    def do_update_ip_catalog(self):
        for folder in split_list(self.properties.get("ip_repo_paths", "")):
            components = sorted(Path(folder).rglob("component.xml"))
            if not components:
                raise VendorError(f"[IP_Flow 19-2248] no IP below {folder}")
            self.catalog.update(packaged(file) for file in components)

    def do_add_files(self, *args):
        file = Path(args[-1])
        if not file.is_file():
            raise VendorError(f"[Vivado 12-172] File or Directory '{file}' does not exist")
        self.sources.append(file)

    def do_update_compile_order(self, *args):
        self._need_project()

    # ---- block design

    def do_create_bd_design(self, name):
        self._need_project()
        if "board_part" not in self.properties and any("board_part" in call for call in self.calls):
            raise VendorError("board_part is set too late")
        self.design = name

    def do_create_bd_cell(self, *args):
        self._need_design()
        options = dict(zip(args[:-1:2], args[1:-1:2], strict=True))
        name = args[-1]
        if name in self.cells:
            raise VendorError(f"[BD 5-103] cell {name} already exists")
        kind = options["-type"]
        if kind == "module":
            reference = options["-reference"]
            found = [pins for file in self.sources if (pins := module(file.read_text(), reference)) is not None]
            if not found:
                raise VendorError(f"[filemgmt 56-195] module {reference} is not in the project's sources")
            self.cells[name] = Cell(name, f"xilinx.com:module_ref:{reference}:1.0", fixed=found[0])
        else:
            vlnv = options["-vlnv"]
            if vlnv not in self.settings.ips and vlnv not in self.catalog:
                raise VendorError(f"[BD 5-216] VLNV <{vlnv}> is not supported for this version of the software")
            if (vlnv.split(":")[1] == "inline_hdl") != (kind == "inline_hdl"):
                raise VendorError(f"[BD 5-216] VLNV <{vlnv}> is not of type {kind}")
            self.cells[name] = Cell(name, vlnv, fixed=self.catalog.get(vlnv))
        self._changed()
        return f"/{name}"

    def do_get_bd_cells(self, *args):
        name = args[-1].lstrip("/")
        return f"/{name}" if name in self.cells else ""

    def do_get_bd_pins(self, *args):
        return f"/{args[-1].lstrip('/')}" if self._pin(args[-1]) else ""

    def do_get_bd_intf_pins(self, *args):
        if "-of_objects" in args:
            name = args[args.index("-of_objects") + 1].lstrip("/")
            if name not in self.cells:
                raise VendorError("[Common 17-55] 'get_bd_intf_pins' expects at least one object")
            return make_list(f"/{name}/{one.name}" for one in self.cells[name].pins()[0])
        return f"/{args[-1].lstrip('/')}" if self._interface(args[-1]) else ""

    def do_apply_bd_automation(self, *args):
        self._need_design()
        cell = self.cells.get(args[-1].lstrip("/"))
        rule = args[args.index("-rule") + 1]
        config = split_list(args[args.index("-config") + 1])
        if cell is None or cell.vlnv.split(":")[2] != rule.split(":")[-1]:
            raise VendorError(f"[BD 5-150] rule {rule} does not apply to '{args[-1]}'")
        settings = dict(zip(config[::2], config[1::2], strict=True))
        if settings.get("apply_board_preset") == "1" and not self.properties.get("board_part"):
            raise VendorError("[BD 5-150] no board preset: the project has no board part")

    def do_set_property(self, *args):
        if args[0] == "-dict":
            values = split_list(args[1])
            pairs, target = list(zip(values[::2], values[1::2], strict=True)), args[2]
        else:
            pairs, target = [(args[0], args[1])], args[2]
        if target in ("system", "sources_1"):
            if pairs[0][0] == "board_part" and pairs[0][1] not in self.settings.board_parts:
                raise VendorError(f"[Board 49-71] board_part {pairs[0][1]} is not valid")
            if pairs[0][0] == "top" and not any(module(file.read_text(), pairs[0][1]) for file in self.sources):
                raise VendorError(f"[Project 1-509] top module {pairs[0][1]} is not in the project's sources")
            self.properties.update(pairs)
            return
        cell = self.cells.get(target.lstrip("/"))
        if cell is None or cell.fixed is not None:
            raise VendorError(f"[Common 17-55] 'set_property' expects at least one object, got '{target}'")
        cell.properties.update(pairs)
        try:
            cell.pins()
        except KeyError as error:
            raise VendorError(f"[BD 41-1276] {target} has no property {error}") from None
        self._changed()

    def do_get_property(self, name, target):
        if target in RUNS:
            return self._run_property(name, target)
        interface = self._interface(target)
        if interface is not None:
            return {"VLNV": interface.vlnv, "MODE": interface.mode}[name]
        pin = self._pin(target)
        if pin is None or name != "CONFIG.FREQ_HZ" or pin.kind != "clk":
            raise VendorError(f"[Common 17-54] '{target}' has no property {name}")
        cell = self.cells[target.lstrip("/").split("/")[0]].properties
        key = "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ", "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"
        return str(round(float(cell.get(key[0]) or cell[key[1]]) * 1e6))

    def do_connect_bd_net(self, *paths):
        self._need_design()
        pins = {path: self._pin(path) for path in paths}
        if len(paths) < 2 or None in pins.values():
            raise VendorError(f"[BD 5-232] connect_bd_net: no such pin among {list(paths)}")
        sources = {
            self.drivers.get(path, path) for path, pin in pins.items() if pin.direction == "O" or path in self.drivers
        }
        if len(sources) != 1:
            raise VendorError(f"[BD 41-1306] {list(paths)} have {len(sources)} drivers")
        source = sources.pop()
        driver = self._pin(source)
        for path, pin in pins.items():
            if path == source:
                continue
            interface = path.rpartition("_")[0]
            if interface in self.links and path in self._parts(interface, self._interface(interface)):
                raise VendorError(f"[BD 41-1306] {path} is connected as a part of its interface already")
            if pin.kind != driver.kind:
                raise VendorError(f"[BD 41-758] {path} ({pin.kind}) is driven by {source} ({driver.kind})")
            if pin.width and pin.width != driver.width:
                raise VendorError(f"[BD 41-759] {path} has {pin.width} bits, {source} {driver.width}")
            self.drivers[path] = source
        self._changed()

    def do_connect_bd_intf_net(self, *paths):
        self._need_design()
        pins = [self._interface(path) for path in paths]
        if len(paths) != 2 or None in pins:
            raise VendorError(f"[BD 5-230] connect_bd_intf_net: no such interface pin among {list(paths)}")
        for path, interface in zip(paths, pins, strict=True):
            if path in self.links or set(self._parts(path, interface)) & set(self.drivers):
                raise VendorError(f"[BD 41-171] {path} is connected already")
        first, second = pins
        if {first.mode, second.mode} != {"Master", "Slave"} or first.vlnv != second.vlnv:
            raise VendorError(f"[BD 41-171] {paths[0]} ({first.mode}) and {paths[1]} ({second.mode}) do not fit")
        if first.width and second.width and first.width != second.width:
            raise VendorError(f"[BD 41-237] {paths[0]} has {first.width} bits, {paths[1]} {second.width}")
        self.links[paths[0]], self.links[paths[1]] = paths[1], paths[0]
        self._changed()

    def do_assign_bd_address(self):
        self._need_design()
        self.addressed = {
            f"/{cell.name}/{one.name}" for cell in self.cells.values() for one in cell.pins()[0] if one.vlnv == AXI
        }

    def do_validate_bd_design(self):
        self._need_design()
        problems = []
        for cell in self.cells.values():
            interfaces, pins = cell.pins()
            for one in interfaces:
                path = f"/{cell.name}/{one.name}"
                if path not in self.links:
                    parts = self._parts(path, one)
                    undriven = [part for part in parts if part not in self.drivers]
                    # Pins may be driven one by one in place of the interface.
                    whole = undriven == parts
                    problems += (
                        [f"{path} is not connected"] if whole else [f"{part} is not driven" for part in undriven]
                    )
                elif one.vlnv == AXI and path not in self.addressed:
                    problems.append(f"{path} has no address")
            for pin in pins:
                path = f"/{cell.name}/{pin.name}"
                if pin.direction == "I" and path not in self.drivers:
                    problems.append(f"{path} is not driven")
        if problems:
            raise VendorError("[BD 41-1031] validation failed: " + "; ".join(problems))
        self.validated = True

    def do_save_bd_design(self):
        if not self.validated:
            raise VendorError("the design is saved before it is validated")
        self.saved = True

    def do_get_files(self, *args):
        if args[-1] == "system.bd" and self.design:
            return "system.bd"
        raise VendorError(f"[Vivado 12-818] no files matched {args[-1]}")

    def do_make_wrapper(self, *args):
        if not self.saved:
            raise VendorError("[BD 41-1356] the design is not saved and validated")
        assert self.folder is not None and "-top" in args
        wrapper = self.folder / "system_wrapper.v"
        wrapper.write_text("module system_wrapper (); endmodule\n")
        return str(wrapper)

    def do_generate_target(self, *args):
        if not self.saved:
            raise VendorError("[BD 41-1356] the design is not saved and validated")
        if self.properties.get("top") != "system_wrapper":
            raise VendorError("the wrapper is not the top module")
        assert self.folder is not None
        place = "srcs" if self.settings.version == "2019.2" else "gen"
        handoff = self.folder / f"system.{place}/sources_1/bd/system/hw_handoff/system.hwh"
        handoff.parent.mkdir(parents=True)
        handoff.write_text("<hwh/>\n")

    # ---- implementation

    def _run_property(self, name, run):
        done = run in self.launched and (self.settings.implemented or run != "impl_1")
        if name == "PROGRESS":
            return "100%" if done else "42%"
        if name == "STATUS":
            return "write_bitstream Complete!" if done else "place_design ERROR"
        assert name == "DIRECTORY" and self.folder is not None
        return str(self.folder / run)

    def do_get_runs(self, *args):
        names = make_list(run for run in RUNS if not args or run == args[-1])
        if not names:
            raise VendorError(f"[Vivado 12-106] no runs matched {args}")
        return names

    def do_reset_run(self, run):
        self.launched.discard(run)

    def do_launch_runs(self, *args):
        self._need_project()
        if args[0] != "impl_1" or dict(zip(args[1::2], args[2::2], strict=True)).get("-to_step") != "write_bitstream":
            raise VendorError(f"[Common 17-170] Unknown option in {args}")
        if int(args[args.index("-jobs") + 1]) < 1:
            raise VendorError("[Common 17-170] jobs")
        self.launched.update(RUNS)

    def do_wait_on_run(self, run):
        if run not in self.launched:
            raise VendorError(f"{run} was not launched")
        assert self.folder is not None
        if not self.settings.implemented:
            log = self.folder / "impl_1" / "runme.log"
            log.write_text("Starting Placer Task\nERROR: [Place 30-640] Place Check : this design requires more LUTs\n")
            if self.settings.version >= "2022.1":
                raise VendorError("[Common 17-39] 'wait_on_runs' failed due to earlier errors.")
        elif self.settings.bitstream:
            (self.folder / "impl_1" / "system_wrapper.bit").write_bytes(b"\x00bit" * 64)

    def do_open_run(self, run):
        self.opened_run = True

    def do_get_cells(self, name):
        if not self.opened_run or name != "system_i/accelerator":
            raise VendorError(f"[Vivado 12-180] No cells matched '{name}'")
        return name

    def _report(self, kind, args):
        if not self.opened_run:
            raise VendorError("[Common 17-53] no open design")
        Path(args[args.index("-file") + 1]).write_text(self.settings.write_report(kind))

    def do_report_utilization(self, *args):
        self._report("accelerator_utilization" if "-cells" in args else "utilization", args)

    def do_report_timing_summary(self, *args):
        self._report("timing_summary", args)

    def do_report_power(self, *args):
        self._report("power", args)

    def do_write_hw_platform(self, *args):
        if not {"-fixed", "-include_bit", "-force"} <= set(args):
            raise VendorError("write_hw_platform: the bitstream is not included")
        Path(args[-1]).write_bytes(b"xsa" * 64)
