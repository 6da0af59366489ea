"""Fills the deploy folder: the driver, the interface of one accelerator, its self test, examples."""

from __future__ import annotations

import io
import json
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.board.driver.interface import FORMAT, INTERFACE_FILE, SELF_TEST_FILE
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops import ArgMax, TopK
from muxflow.hls.packing import port, unpack
from muxflow.hls.vitis.project import Project

HERE = Path(__file__).parent
DRIVER = "muxflow_driver"
"""Name of the driver's package in the deploy folder."""

EXAMPLES = ("example.py", "example.ipynb")
SELF_TEST_IMAGES = 16
"""The test bench's images, then random codes (decision)."""


def write_driver(project: Project, folder: Path) -> list[Path]:
    """Writes what runs on the board, the bitstream aside, into a folder and returns the files.

    Same project, same bytes. Raises MuxflowError when a file cannot be written or the project's test vectors are gone.
    """
    entry = json.dumps(interface_entry(project), indent=2, sort_keys=True) + "\n"
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**self_test_set(project)}
    np.savez_compressed(buffer, **arrays)
    contents = {INTERFACE_FILE: entry.encode(), SELF_TEST_FILE: buffer.getvalue()}
    contents |= {name: (HERE / "example" / name).read_bytes() for name in EXAMPLES}
    contents |= {f"{DRIVER}/{file.name}": file.read_bytes() for file in sorted((HERE / "driver").glob("*.py"))}
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return [folder / name for name in contents]


def interface_entry(project: Project) -> dict[str, Any]:
    """What `interface.json` holds; docs/driver.md lists the entries."""
    from muxflow.board.bitstream.stages import BITSTREAM

    design = project.design
    graph = design.graph
    return {
        "format": FORMAT,
        "name": graph.name,
        "version": package_version("muxflow"),
        "digest": project.digest,
        "board": design.board,
        "part": design.device.part,
        "clock_mhz": design.clock_mhz,
        "interval_cycles": design.interval,
        "latency_cycles": design.latency,
        "interval_source": "estimate" if design.timing is None else "cycle simulation",
        "control": project.options.control,
        "bitstream": f"{BITSTREAM}.bit",
        "inputs": [_port(project, name) for name in (graph.input,)],
        "outputs": [_output(project, name) for name in (graph.output,)],
        "seeds": [
            {
                "node": seed.node,
                "argument": seed.argument,
                "cells": seed.text,
                "offset": seed.offset,
                "frames_ahead": seed.frames_ahead,
            }
            for seed in project.seeds
        ],
    }


def axi_port(project: Project, name: str) -> str:
    """Give the name of the AXI-Stream port that carries an input or an output."""
    return "input" if name == project.design.graph.input else "output"


def _port(project: Project, name: str) -> dict[str, Any]:
    stream = project.design.graph.streams[name]
    one = port(stream)
    return {
        "name": name,
        "port": axi_port(project, name),
        "shape": list(one.shape),
        "lowest": one.lowest,
        "highest": one.highest,
        "step": one.step,
        "container_bits": one.container,
        "signed": one.signed,
        "words_per_frame": one.words,
        "scale": list(stream.scale),
        "offset": list(stream.offset),
    }


def _output(project: Project, name: str) -> dict[str, Any]:
    readout = project.design.graph.readout
    return {
        **_port(project, name),
        "answer": _answer(project),
        "readout": None
        if readout is None
        else {part: list(getattr(readout, part)) for part in ("scale", "offset", "order", "shape")},
    }


def _answer(project: Project) -> str:
    """What the output's codes are to a user."""
    graph = project.design.graph
    if graph.readout is not None:
        return "logits"
    last = next((node for node in reversed(graph.nodes) if node.op.kind != "WidthConverter"), None)
    kinds = {ArgMax: "label", TopK: "top_k"}
    return kinds.get(type(last.op), "codes") if last is not None else "codes"


def self_test_set(project: Project) -> dict[str, IntArray]:
    """Give codes by AXI port name: the test bench's images, then seeded random codes, and what the graph makes of them."""
    graph = project.design.graph
    stream = graph.streams[graph.input]
    file = project.path / "tb" / "input.dat"
    try:
        words = np.array([int(line, 16) for line in file.read_text().split()], np.uint64)
    except (OSError, ValueError) as error:
        raise MuxflowError(f"{file}: cannot be read ({error}); build the project again") from error
    recorded = unpack(words, stream)
    random = random_codes(stream, max(0, SELF_TEST_IMAGES - len(recorded)), np.random.default_rng(1))
    images = np.concatenate([recorded, random])
    return {"input": images, "output": graph(images)}
