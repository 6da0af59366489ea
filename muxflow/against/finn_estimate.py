"""FINN+ estimates of one QONNX file, for target rates and limits on stream widths, as JSON on standard output.

Runs in FINN+'s own environment (tools/environments/finn.txt), never in Muxflow's:

    python finn_estimate.py net.onnx --fps 3000 6000 --mvau-wwidth-max 256 [--clock-mhz 100] [--board Pynq-Z2 | --part PART]

Every rate is tried with every limit (`mvau_wwidth_max`: bits of the weights of one PE in a beat, beyond which FINN+ takes
more PEs), with and without the second pass that makes all nodes as slow as the slowest one; a design that was met before,
the same folds in all nodes, is left out.

`--folds FILE` adds designs of given folds, with target_fps 0: a JSON list of objects of lists of [PE, SIMD,
parallel_window], in the order of the network, for "MVAU", "ConvolutionInputGenerator" (those of convolutions) and "Pool"
(its window generator follows it).

The steps are those of FINN+'s estimate flow: conversion, streamlining, hardware layers, smallest widths, partition,
specialisation once, then folding and estimates for every design. No vendor tool is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRESS = "progress: "
"""What the lines of standard error begin with that are for a reader; the others are FINN+'s own."""

PROGRESS_SECONDS = 10.0

ATTRIBUTES = (
    "PE",
    "SIMD",
    "MW",
    "MH",
    "Channels",
    "NumChannels",
    "IFMChannels",
    "IFMDim",
    "ConvKernelDim",
    "KernelSize",
    "PoolDim",
    "numInputVectors",
    "numSteps",
    "noActivation",
    "parallel_window",
    "depthwise",
    "mem_mode",
    "ram_style",
)
"""What is reported of a node besides its estimates, where the node has it."""

FOLD = ("PE", "SIMD", "parallel_window")
"""The attributes that make two designs of a model differ."""


@contextlib.contextmanager
def quiet_output() -> Iterator[None]:
    """Send what the steps print, by Python or by a library, to standard error: standard output is for the JSON."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def estimate(
    path: Path,
    rates: list[int],
    given: list[dict[str, list[list[int]]]],
    widths: list[int],
    clock_mhz: float,
    board: str,
    device: str,
    scratch: Path,
) -> dict[str, Any]:
    """Estimate the distinct designs of all target rates and width limits, and last those of the `given` folds."""
    # FINN+ reads a version from the vendor tool's path on import, and opens its simulator: neither is used here.
    # It also makes a settings folder in the user's home.
    os.environ["HOME"] = os.environ["FINN_BUILD_DIR"] = str(scratch)
    os.environ["XILINX_VIVADO"] = "/unused/2022.2"
    import finn.util.settings as settings

    settings.initialize_dummy_settings()
    import finn.xsi

    finn.xsi.SimEngine = None
    import finn.builder.build_dataflow_config as config
    import finn.builder.build_dataflow_steps as steps
    from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
    from finn.analysis.fpgadataflow.res_estimation import res_estimation
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.general import GiveUniqueNodeNames
    from qonnx.transformation.insert_topk import InsertTopK

    def settings_for(rate: int, width: int, second_pass: bool = True) -> Any:
        return config.DataflowBuildConfig(
            output_dir=str(scratch / "output"),
            synth_clk_period_ns=1e3 / clock_mhz,
            generate_outputs=[config.DataflowOutputType.ESTIMATE_REPORTS],
            board=board or None,
            fpga_part=device or None,
            target_fps=rate,
            mvau_wwidth_max=width,
            folding_two_pass_relaxation=second_pass,
            save_intermediate_models=False,
        )

    def report(node: Any, cycles: int, resources: dict[str, Any]) -> dict[str, Any]:
        instance = getCustomOp(node)
        known = instance.get_nodeattr_types()
        values = {name: instance.get_nodeattr(name) for name in ATTRIBUTES if name in known}
        attributes = {name: v if isinstance(v, int | str) else [int(n) for n in v] for name, v in values.items()}
        types = {"input_type": str(instance.get_input_datatype()), "output_type": str(instance.get_output_datatype())}
        if len(node.input) > 1:
            types["weight_type"] = str(instance.get_input_datatype(1))
        if "accDataType" in known:
            types["accumulator_type"] = instance.get_nodeattr("accDataType")
        return {
            "name": node.name,
            "op": node.op_type,
            "cycles": int(cycles),
            "lut": int(resources["LUT"]),
            "bram18": int(resources["BRAM_18K"]),
            "dsp": int(resources["DSP"]),
            **attributes,
            **types,
        }

    def apply_folds(folded: Any, folds: dict[str, list[list[int]]]) -> None:
        """Set the given folds in the order of the network."""
        left = {op: iter(pairs) for op, pairs in folds.items()}
        for node in folded.graph.node:
            op = node.op_type.split("_")[0]
            if op not in left:
                continue
            instance = getCustomOp(node)
            if op == "ConvolutionInputGenerator" and instance.get_nodeattr("depthwise"):
                continue
            pe, simd, whole = next(left[op])
            if op == "Pool":
                getCustomOp(folded.find_producer(node.input[0])).set_nodeattr("SIMD", pe)
            for name, value in zip(FOLD, (pe, simd, whole), strict=True):
                if name in instance.get_nodeattr_types():
                    instance.set_nodeattr(name, value)

    def converters(folded: Any, part: str) -> dict[str, int]:
        """Estimate what the width converters add, which FINN+'s flow inserts only when it builds hardware."""
        joined = ModelWrapper(folded.model, make_deepcopy=True).transform(InsertDWC())
        joined = joined.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
        resources = res_estimation(joined, part)
        found = [resources[node.name]["LUT"] for node in joined.graph.node if "DataWidthConverter" in node.op_type]
        return {"nodes": len(found), "lut": int(sum(found))}

    def fold_of(folded: Any) -> tuple[Any, ...]:
        """Give all folds of a design."""
        nodes = [getCustomOp(node) for node in folded.graph.node]
        return tuple(
            tuple(node.get_nodeattr(name) for name in FOLD if name in node.get_nodeattr_types()) for node in nodes
        )

    started = time.perf_counter()
    first = settings_for(rates[0], widths[0])
    model = ModelWrapper(str(path))
    model = model.transform(InsertTopK(k=1))
    for step in (
        steps.step_qonnx_to_finn,
        steps.step_tidy_up,
        steps.step_streamline,
        steps.step_convert_to_hw,
        steps.step_minimize_bit_width_initial,
        steps.step_create_dataflow_partition,
        steps.step_specialize_layers,
    ):
        model = step(model, first)
    prepared = time.perf_counter() - started
    designs: list[dict[str, Any]] = []
    met = set()
    tried: list[tuple[int, int, bool, dict[str, list[list[int]]] | None]]
    tried = [(*pair, again, None) for pair in itertools.product(rates, widths) for again in (True, False)]
    tried += [(0, 0, True, folds) for folds in given]
    told = -math.inf
    for number, (rate, width, second_pass, folds) in enumerate(tried):
        started = time.perf_counter()
        if started - told > PROGRESS_SECONDS:
            told = started
            print(f"{PROGRESS}{number} of {len(tried)} tried, {len(designs)} designs", file=sys.stderr, flush=True)
        folded = ModelWrapper(model.model, make_deepcopy=True)
        target = settings_for(rate or rates[0], width or widths[0], second_pass)
        folded = steps.step_target_fps_parallelization(folded, target)
        if folds is not None:
            apply_folds(folded, folds)
        elif fold_of(folded) in met:
            continue
        met.add(fold_of(folded))
        folded = steps.step_minimize_bit_width(steps.step_apply_folding_config(folded, target), target)
        cycles = folded.analysis(exp_cycles_per_layer)
        part = target._resolve_fpga_part()
        resources = res_estimation(folded, part)
        nodes = [report(node, cycles[node.name], resources[node.name]) for node in folded.graph.node]
        slowest = max(node["cycles"] for node in nodes)
        designs.append(
            {
                "target_fps": rate,
                "wwidth_max": width,
                "slowest_cycles": slowest,
                "frames_per_second": clock_mhz * 1e6 / slowest,
                **{name: sum(node[name] for node in nodes) for name in ("lut", "bram18", "dsp")},
                "seconds": time.perf_counter() - started,
                "converters": converters(folded, part),
                "nodes": nodes,
            }
        )
    return {"model": path.name, "board": board, "clock_mhz": clock_mhz, "prepare_seconds": prepared, "designs": designs}


def main() -> None:
    """Read the command line, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fps", type=int, nargs="+", required=True, help="target rates")
    parser.add_argument("--folds", type=Path, help="JSON file of folds to estimate as well")
    parser.add_argument("--mvau-wwidth-max", type=int, nargs="+", default=[1024], help="limits on stream widths")
    parser.add_argument("--clock-mhz", type=float, default=100.0)
    parser.add_argument("--board", default="Pynq-Z2")
    parser.add_argument("--part", default="", help="a part in place of a board that FINN+ knows")
    chosen = parser.parse_args()
    given = json.loads(chosen.folds.read_text()) if chosen.folds else []
    with tempfile.TemporaryDirectory() as scratch, quiet_output():
        found = estimate(
            chosen.model.resolve(),
            chosen.fps,
            given,
            chosen.mvau_wwidth_max,
            chosen.clock_mhz,
            "" if chosen.part else chosen.board,
            chosen.part,
            Path(scratch),
        )
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
