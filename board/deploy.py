"""The deploy folder: the driver, the interface of one accelerator, its self test, examples."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.board.driver.interface import FORMAT, INTERFACE_FILE, SELF_TEST_FILE
from muxflow.board.driver.weights import WEIGHTS_FILE, weight_file
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import read_bounded
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.codec import to_json
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Answer, IntArray, Role
from muxflow.dataflow.outputs import write_below
from muxflow.dataflow.text import json_text, plainly
from muxflow.dataflow.version import __version__
from muxflow.hls.packing import axi_port, unpack
from muxflow.hls.vitis.loading import weight_words
from muxflow.hls.vitis.project import Project
from muxflow.hls.vitis.seeds import SeedArgument

HERE = Path(__file__).parent
DRIVER = "muxflow_driver"
"""Name of the driver's package in the deploy folder."""
BITSTREAM = "accelerator"
"""Name of the bit, hwh and xsa files; PYNQ finds the hwh by the name of the bit file."""

EXAMPLES = ("example.py", "example.ipynb")
SELF_TEST_IMAGES = 16
"""The test bench's images, then random codes (decision)."""


def write_driver(project: Project, folder: Path) -> list[Path]:
    """Write what runs on the board, the bitstream aside, into a folder and return the files.

    Same project, same bytes. Raises MuxflowError when a file cannot be written or the project's test vectors are gone.
    """
    entry = json_text(interface_entry(project))
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**self_test_set(project)}
    np.savez_compressed(buffer, **arrays)
    contents = {INTERFACE_FILE: entry.encode(), SELF_TEST_FILE: buffer.getvalue()}
    if project.memories is not None:
        contents[WEIGHTS_FILE] = weight_file(project.memories, weight_words(project.design.folded))
    contents |= {name: (HERE / "example" / name).read_bytes() for name in EXAMPLES}
    contents |= {f"{DRIVER}/{file.name}": file.read_bytes() for file in sorted((HERE / "driver").glob("*.py"))}
    return write_below(folder, contents)


def interface_entry(project: Project) -> dict[str, Any]:
    """Describe what `interface.json` holds; docs/guide/driver.md lists the entries."""
    design = project.design
    return {
        "format": FORMAT,
        "name": design.graph.name,
        "version": __version__,
        "digest": project.digest,
        "board": design.board,
        "part": design.device.part,
        "clock_mhz": design.clock_mhz,
        "interval_cycles": design.interval,
        "latency_cycles": design.latency,
        "interval_source": ("estimate" if design.timing is None else "cycle simulation")
        + ("" if design.apart is None else ", one frame at a time"),
        "control": project.options.control,
        "bitstream": f"{BITSTREAM}.bit",
        "inputs": [_port(project, name, name) for name in design.graph.inputs],
        "outputs": _outputs(project),
        "seeds": [_register(one) for one in project.seeds],
        "states": [_register(one) for one in project.states],
        "weights": None if project.memories is None else project.memories.entry(),
    }


def _register(one: SeedArgument) -> dict[str, Any]:
    """Describe what is written at run time."""
    return {
        "node": one.node,
        "argument": one.argument,
        "cells": one.text,
        "offset": one.offset,
        "frames_ahead": one.frames_ahead,
    }


def _port(project: Project, stream: str, name: str) -> dict[str, Any]:
    """Describe an outer stream under the name that the model gives it."""
    given = project.design.graph.streams[stream]
    one = axi_port(given)
    return {
        "name": name,
        "port": project.names.ports[stream],
        "shape": list(one.shape),
        "lowest": one.lowest,
        "highest": one.highest,
        "step": one.step,
        "container_bits": one.container,
        "signed": one.signed,
        "words_per_frame": one.words,
        "scale": list(given.scale),
        "offset": list(given.offset),
    }


def _outputs(project: Project) -> list[dict[str, Any]]:
    """Describe the outputs, by their names before width converters, which depend on the folds."""
    plain = unfolded(project.design.graph)
    found = []
    for stream, name in zip(project.design.graph.outputs, plain.outputs, strict=True):
        readout, end = plain.readouts.get(name), plain.ends.get(name)
        logits = not plain.why_no_class(name)
        found.append(
            {
                **_port(project, stream, name),
                "answer": _answer(plain, name) if readout is None else "logits" if logits else "values",
                "rest": "" if end is None else end.rest,
                "readout": None if readout is None else to_json(readout),
            }
        )
    return found


def _answer(graph: Graph, name: str) -> Answer:
    """Tell what the codes of a stream are to a user: the op says so that made them."""
    producers = graph.producers()
    while name in producers and producers[name].op.role is Role.PLUMBING:
        name = producers[name].inputs[0]
    return producers[name].op.answer if name in producers else "codes"


def self_test_set(project: Project) -> dict[str, IntArray]:
    """Compute codes by AXI port name: the test bench's images, then seeded random codes, and what the graph makes of them.

    Raises MuxflowError when the project's test vectors are gone.
    """
    graph, ports = project.design.graph, project.names.ports
    generator = np.random.default_rng(1)
    images = {}
    for name in graph.inputs:
        stream = graph.streams[name]
        recorded = _recorded(project.vector_file(name), stream)
        random = random_codes(stream, max(0, SELF_TEST_IMAGES - len(recorded)), generator)
        images[name] = np.concatenate([recorded, random])
    expected = graph.run(images, keep=graph.outputs)
    return {ports[name]: codes for name, codes in (*images.items(), *expected.items())}


def _recorded(file: Path, stream: Stream) -> IntArray:
    """Read the codes that the test bench's words stand for."""
    try:
        return unpack(np.array([int(line, 16) for line in read_bounded(file).split()], np.uint64), stream)
    except (OSError, ValueError, OverflowError, MuxflowError) as error:
        raise MuxflowError(f"{file}: cannot be read ({plainly(error)}); build the project again") from error
