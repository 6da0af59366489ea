"""FINN's steps on a design, as far as they need no vendor tool; runs in the child process (`process.py`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import finn.builder.build_dataflow_config as build_config
import finn.builder.build_dataflow_steps as steps
import numpy as np
from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from finn.util.settings import get_settings
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.text import reason
from muxflow.hls.finn import CHECKED_FRAMES, COMPARISON, MODEL, comparison
from muxflow.hls.finn.dataflow import COUNTS, dataflow_model
from muxflow.hls.finn.execution import FinnExecution
from muxflow.proof.compare import compare


def build(design: Design, folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """Write `model.onnx`, `dataflow.onnx`, `report/`, `code/` and `comparison.json` into `folder`.

    `scratch`: FINN's build folder. Raises MismatchError when FINN's execution differs from the graph.
    """
    say("FINN model")
    model, owners = dataflow_model(design)
    model.save(str(folder / MODEL))
    say("FINN's execution against the graph")
    graph, generator = design.graph, np.random.default_rng(0)
    frames = {name: random_codes(graph.streams[name], CHECKED_FRAMES, generator) for name in graph.inputs}
    compare(graph, [FinnExecution(model, graph)], frames)
    config = build_config.DataflowBuildConfig(
        output_dir=str(scratch / "output"),
        synth_clk_period_ns=1e3 / design.clock_mhz,
        generate_outputs=[build_config.DataflowOutputType.ESTIMATE_REPORTS],
        fpga_part=design.device.part,
        save_intermediate_models=False,
    )
    say("partition and specialisation")
    model = steps.step_specialize_layers(steps.step_create_dataflow_partition(model, config), config)
    model = insert_fifos(model, design.device.part)
    say("FINN's estimates")
    model = steps.step_generate_estimate_reports(model, config)
    shutil.copytree(scratch / "output" / "report", folder / "report")
    rows = [asdict(row) for row in comparison.compare(design, model, owners)]
    (folder / COMPARISON).write_text(json.dumps(rows, indent=1) + "\n")
    say("code")
    # FINN draws the names of the tensors between nodes and FIFOs.
    model = model.transform(GiveReadableTensorNames())
    model = steps.step_hw_codegen(model, config)
    _keep_code(model, folder / "code")
    model.save(str(folder / "dataflow.onnx"))


def insert_fifos(model: Any, part: str) -> Any:
    """Insert FINN's width converters and FIFOs, of the depths that the nodes say, specialised and named."""
    model = model.transform(InsertDWC()).transform(InsertFIFO(create_shallow_fifos=True))
    return model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())


def _keep_code(model: Any, folder: Path) -> None:
    """Move what FINN generated to one folder a node, without the paths of this machine: the same bytes everywhere."""
    folder.mkdir()
    dependencies = str(get_settings().finn_deps).encode()
    for node in model.graph.node:
        instance = getCustomOp(node)
        place = instance.get_nodeattr("code_gen_dir_ipgen")
        target = folder / node.name
        shutil.move(place, target)
        for file in sorted(target.rglob("*")):
            if file.is_file():
                data = file.read_bytes().replace(place.encode(), b".")
                file.write_bytes(data.replace(dependencies, b"$::env(FINN_DEPS)"))
        for name in instance.get_nodeattr_types():
            value = instance.get_nodeattr(name) if name.endswith(("_dir_ipgen", "_path")) else ""
            if isinstance(value, str) and value.startswith(place):
                instance.set_nodeattr(name, "")


def load_model(path: Path) -> Any:
    """Load a written model; raises MuxflowError naming the file where it is none that `dataflow_model` made."""
    try:
        model = ModelWrapper(str(path))
    except Exception as error:  # protobuf's DecodeError has no stable import path
        raise MuxflowError(f"{path}: not a model of FINN ({reason(error)}); build the project again") from error
    if model.get_metadata_prop(COUNTS) is None:
        raise MuxflowError(f"{path}: not a model that Muxflow wrote; build the project again")
    return model
