"""Fills the deploy folder: the driver, the interface of one accelerator, its self test, examples."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.board.driver.interface import FORMAT, INTERFACE_FILE, SELF_TEST_FILE
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.version import __version__
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
    arrays = self_test_set(project)
    np.savez_compressed(buffer, images=arrays["images"], expected=arrays["expected"])
    contents = {INTERFACE_FILE: entry.encode(), SELF_TEST_FILE: buffer.getvalue()}
    contents |= {name: (HERE / "example" / name).read_bytes() for name in EXAMPLES}
    contents |= {f"{DRIVER}/{file.name}": file.read_bytes() for file in sorted((HERE / "driver").glob("*.py"))}
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return [folder / name for name in contents]


def interface_entry(project: Project) -> dict[str, Any]:
    """What `interface.json` holds; docs/guide/driver.md lists the entries."""
    from muxflow.board.bitstream.stages import BITSTREAM

    design = project.design
    graph = design.graph
    (source,), (sink,) = graph.inputs, graph.outputs
    readout = graph.readouts.get(sink)
    return {
        "format": FORMAT,
        "name": graph.name,
        "version": __version__,
        "digest": project.digest,
        "board": design.board,
        "part": design.device.part,
        "clock_mhz": design.clock_mhz,
        "interval_cycles": design.interval,
        "latency_cycles": design.latency,
        "interval_source": "estimate" if design.timing is None else "cycle simulation",
        "control": project.options.control,
        "bitstream": f"{BITSTREAM}.bit",
        "input": _port(graph.streams[source]),
        "output": _port(graph.streams[sink]),
        "answer": _answer(project),
        "readout": None
        if readout is None
        else {name: list(getattr(readout, name)) for name in ("scale", "offset", "order", "shape")},
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


def _port(stream: Stream) -> dict[str, Any]:
    one = port(stream)
    return {
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


def _answer(project: Project) -> str:
    """What the output's codes are to a user."""
    graph = project.design.graph
    if graph.readouts:
        return "logits"
    last = next((node for node in reversed(graph.nodes) if not node.op.only_lanes), None)
    return "codes" if last is None else last.op.answer


def self_test_set(project: Project) -> dict[str, IntArray]:
    """Images and the outputs that the integer graph expects: those of the test bench, then seeded random codes."""
    graph = project.design.graph
    (source,) = graph.inputs
    stream = graph.streams[source]
    file = project.vector_file(source)
    try:
        words = np.array([int(line, 16) for line in file.read_text().split()], np.uint64)
    except (OSError, ValueError) as error:
        raise MuxflowError(f"{file}: cannot be read ({error}); build the project again") from error
    recorded = unpack(words, stream)
    random = random_codes(stream, max(0, SELF_TEST_IMAGES - len(recorded)), np.random.default_rng(1))
    images = np.concatenate([recorded, random])
    return {"images": images, "expected": graph.compute(images)[0]}
