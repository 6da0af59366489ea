"""Stand-ins of the vendor's programs: run under the name of each, with behaviour from `behaviour.json` beside them.

The scripts and configuration files that Muxflow wrote are run for real; only the vendor's commands are stand-ins.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from standin_catalog import BOARD_PARTS, IPS, PARTS, Settings  # noqa: E402
from standin_hls import Hls, run_config  # noqa: E402
from standin_tcl import TclError, VendorError, run_script  # noqa: E402
from standin_vivado import Vivado  # noqa: E402

REPORTS = HERE.parent / "reports"
PRODUCTS = {"vivado": "Vivado", "vitis_hls": "Vitis HLS - High-Level Synthesis", "vivado_hls": "Vivado(TM) HLS"}
REPORT_FILES = {
    "csynth.xml": "vitis_hls_2022.2_csynth.xml",
    "cosim.rpt": "vitis_hls_2022.2_cosim.rpt",
    "utilization": "vivado_2022.2_utilization.rpt",
    "accelerator_utilization": "vivado_2022.2_accelerator_utilization.rpt",
    "timing_summary": "vivado_2022.2_timing_summary.rpt",
    "power": "vivado_2022.2_power.rpt",
}


def main(program: Path, arguments: list[str]) -> int:
    behaviour = json.loads((program.parent / "behaviour.json").read_text())
    version = behaviour.get("version", "2022.2")
    if arguments and arguments[-1] in ("-version", "--version"):
        print(f"{PRODUCTS.get(program.name, program.name)} v{version} (64-bit)")
        return 0
    with (program.parent / "calls.log").open("a") as log:
        log.write(json.dumps([program.name, *arguments]) + "\n")
    files = {**REPORT_FILES, **behaviour.get("reports", {})}

    def report(kind):
        return (REPORTS / files[kind]).read_text()

    def apply(commands):
        """Makes the commands fail, hang or be slow as asked for."""
        for name, how in behaviour.get("commands", {}).items():
            if name in commands:
                commands[name] = misbehaving(name, how, commands[name])
        return commands

    try:
        if program.name == "vivado":
            settings = Settings(
                version,
                tuple(behaviour.get("board_parts", BOARD_PARTS)),
                tuple(behaviour.get("parts", PARTS)),
                tuple(behaviour.get("ips", IPS)),
                behaviour.get("bitstream", True),
                behaviour.get("implemented", True),
                report,
            )
            script = Path(arguments[arguments.index("-source") + 1])
            rest = arguments[arguments.index("-tclargs") + 1 :] if "-tclargs" in arguments else []
            return run_script(script, apply(Vivado(settings).commands()), rest)
        parts = behaviour.get("parts", PARTS)
        if "--config" in arguments:
            options = dict(itertools.pairwise(arguments))
            steps = {"--csim": "csim", "--cosim": "cosim", "--package": "export", "-c": "csynth"}
            step = next(steps[word] for word in arguments if word in steps)
            if (program.name == "v++") != (step == "csynth"):
                raise VendorError(f"{program.name} has no step {step}")
            run_config(step, Path(options["--config"]).resolve(), Path(options["--work_dir"]).resolve(), parts, report)
            return 0
        script = Path(arguments[arguments.index("--tcl" if program.name == "vitis-run" else "-f") + 1])
        product = "Vivado HLS" if program.name == "vivado_hls" else "Vitis HLS"
        return run_script(script, apply(Hls(Path.cwd(), product, parts, report).commands()))
    except (TclError, VendorError) as error:
        print(f"ERROR: {error}".replace("ERROR: ERROR:", "ERROR:"), flush=True)
        return 1


def misbehaving(name, how, function):
    def call(*args):
        if how == "hang":
            print(f"Starting {name} Task", flush=True)
            # A child of the tool: it must end with it.
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            Path(os.environ["STANDIN_PIDS"]).write_text(f"{os.getpid()} {child.pid}")
            time.sleep(600)
        if how == "nothing":
            return ""
        raise VendorError(how)

    return call


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
