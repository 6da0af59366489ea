"""hls4ml as a target of the ladder: the cases of a climb side by side as one project, which hls4ml writes."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from op_cases import Case, Network, network

from muxflow.dataflow.errors import BudgetError, UnsupportedError
from muxflow.dataflow.fit.design import Design, build_design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.fit.folded import check_limits, fold_graph
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import Fold
from muxflow.hls import hls4ml
from muxflow.hls.hls4ml.cpp import WIDEST, widest
from muxflow.hls.hls4ml.execution import PREDICT
from muxflow.hls.hls4ml.layers import NATIVE_FLAGS
from muxflow.hls.hls4ml.target import TARGET, Hls4mlOptions

DEVICE = Device("xc7z020clg400-1", lut=10**7, ff=10**7, bram18=10**5, dsp=10**5)
FEW, MOST = 3, 9
"""Cases of an op that are run where not all are: in a climb, in a session."""


@dataclass(frozen=True)
class Folded:
    """A network under one fold of its leader."""

    network: Network
    fold: Fold


class Hls4mlCases:
    """Runs cases by hls4ml's Vitis back end; see `OpTarget`.

    `thorough`: every case under every fold, else a few of each op, their folds in turn; of all it is asked whether the
    target carries them. `folder`: an empty one, for the session.
    """

    name = TARGET.name
    refusals = (
        "hls4ml's arrays have at most two spatial axes",
        f"floating-point numbers, exact up to {2**53}",
        "weights that are loaded at run time have no port in hls4ml",
    )

    def __init__(self, folder: Path, thorough: bool) -> None:
        self.folder = folder
        self.thorough = thorough
        self.climbs = 0
        self.ran: Counter[str] = Counter()

    def climb(self, cases: Sequence[Case]) -> Sequence[str]:
        networks = [network(case) for case in cases]
        answers = [refusal(one.graph) for one in networks]
        carried: dict[str, list[Network]] = defaultdict(list)
        for case, one, answer in zip(cases, networks, answers, strict=True):
            if not answer:
                carried[case.op.kind].append(one)
        chosen = [one for kind, found in carried.items() for one in self._chosen(kind, found)]
        if chosen:
            self._run([renamed(one, number) for number, one in enumerate(chosen)])
        return answers

    def _chosen(self, kind: str, networks: Sequence[Network]) -> list[Folded]:
        if self.thorough:
            return [Folded(one, fold) for one in networks for fold in one.folds if within_limits(one, fold)]
        few = networks[:: -(-len(networks) // FEW)] if self.ran[kind] < MOST else ()
        self.ran[kind] += len(few)
        legal = [[fold for fold in one.folds if within_limits(one, fold)] for one in few]
        return [
            Folded(one, folds[number % len(folds)]) for number, (one, folds) in enumerate(zip(few, legal, strict=True))
        ]

    def _run(self, every: Sequence[Folded]) -> None:
        """Have hls4ml write all as one project, compile it without optimization, compare what its bridge gives."""
        given = [values for one in every for values in one.network.frames.values()]
        expected = [values for one in every for values in one.network.expected.values()]
        count = max(map(len, (*given, *expected)))
        self.climbs += 1
        project = self.folder / f"climb{self.climbs}"
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
            warnings.filterwarnings("ignore", message=".*float32 is exact up to")
            patch.setitem(sys.modules, "keras", None)  # hls4ml would load it, and TensorFlow, to write a configuration
            hls4ml.convert(merged(every), project).write()
        bridge = (project / "cases_bridge.cpp").read_text()
        floats, doubles = bridge.index("void cases_float("), bridge.index("void cases_double(")
        whole = bridge[:floats] + bridge[doubles:] + '#include "firmware/cases.cpp"\n'
        (project / "whole.cpp").write_text(whole)
        flags = ["-std=c++14", "-w", "-O0", *NATIVE_FLAGS.split(), "-fPIC", "-shared", "-Ifirmware/ap_types"]
        command = ["g++", *flags, "whole.cpp", "-o", "cases.so"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        np.savez(project / "inputs.npz", *(lasting(values, count) for values in given))
        np.savez(project / "outputs.npz", *(np.zeros((count, *values.shape[1:])) for values in expected))
        command = [sys.executable, "-c", PREDICT, "./cases.so", "cases_double", "."]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        assert "hls::stream" not in (done.stdout + done.stderr).lower()
        with np.load(project / "outputs.npz") as outputs:
            found = iter(outputs.values())
            for one in every:
                for name, values in one.network.expected.items():
                    label = f"hls4ml: {one.network.graph.nodes} {one.fold}, {name}"
                    np.testing.assert_array_equal(next(found), lasting(values, count), err_msg=label)


def within_limits(one: Network, fold: Fold) -> bool:
    """Whether the tools take the streams and the loop of a fold, and hls4ml its words."""
    folded = fold_graph(one.graph, {one.leader: fold}, TARGET.implementations)
    try:
        check_limits(folded)
    except BudgetError:
        return False
    return all(widest(folded, node) <= WIDEST for node in folded.graph.nodes)


def refusal(graph: Graph) -> str:
    try:
        TARGET.check_graph(graph, Hls4mlOptions("Vitis"), "none")
    except UnsupportedError as error:
        return str(error)
    return ""


def renamed(one: Folded, number: int) -> Folded:
    """The network with names that no other case has."""

    def new(*names: str) -> tuple[str, ...]:
        return tuple(f"case{number}_{name}" for name in names)

    given = one.network
    nodes = [
        replace(node, name=new(node.name)[0], inputs=new(*node.inputs), outputs=new(*node.outputs))
        for node in given.graph.nodes
    ]
    streams = dict(zip(new(*given.graph.inputs), map(given.graph.streams.__getitem__, given.graph.inputs), strict=True))
    graph = with_nodes(Graph(given.graph.name, (), streams, tuple(streams), new(*given.graph.outputs)), nodes)
    return replace(one, network=replace(given, graph=graph, leader=new(given.leader)[0]))


def merged(every: Sequence[Folded]) -> Design:
    """One design of all networks, their inputs and outputs in order."""
    graphs = [one.network.graph for one in every]
    streams = {name: graph.streams[name] for graph in graphs for name in graph.inputs}
    outputs = tuple(name for graph in graphs for name in graph.outputs)
    graph = with_nodes(
        Graph("cases", (), streams, tuple(streams), outputs), [node for one in graphs for node in one.nodes]
    )
    folds = {one.network.leader: one.fold for one in every}
    return build_design(graph, folds, TARGET.implementations, device=DEVICE, board="none", clock_mhz=100)


def lasting(values: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """The frames, again and again until there are `count`."""
    return values[np.arange(count) % len(values)].astype(np.float64)
