"""FINN as a target of the ladder: each case as a FINN model of FINN's nodes and Muxflow's, which FINN runs in Python and
writes the hardware of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from op_cases import Case, network

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.graph.passes import run_passes
from muxflow.hls.finn.dataflow import dataflow_model
from muxflow.hls.finn.execution import FinnExecution
from muxflow.hls.finn.target import TARGET, FinnOptions

PART = "xc7z020clg400-1"
DEVICE = Device(PART, lut=10**7, ff=10**7, bram18=10**5, dsp=10**5)


class FinnCases:
    """Runs cases by FINN, which must be in the process; see `OpTarget`."""

    name = TARGET.name
    refusals = (
        "a window of [13] axes; FINN's nodes take maps of height and width",
        "FINN's float32 tensors are exact up to 16777216",
        "weights that are loaded at run time have no port in FINN",
        "seeds that are written at run time have no port in FINN",
        "takes [0-9]+ neighbouring pixels at once; FINN's nodes take one after the other",
    )

    def climb(self, cases: Sequence[Case]) -> Sequence[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # FINN leaves its files to the garbage collector
            return [self._run(case) for case in cases]

    @staticmethod
    def _run(case: Case) -> str:
        """Under every fold FINN's execution equals, and FINN writes code for every node."""
        whole = network(case)
        graph = run_passes(whole.graph, TARGET.passes(FinnOptions()))
        try:
            TARGET.check_graph(graph, FinnOptions(), "none")
        except UnsupportedError as error:
            return str(error)
        for fold in whole.folds:
            if fold.pixels > TARGET.implementations.limits.pixels:
                continue
            design = build_design(
                graph, {whole.leader: fold}, TARGET.implementations, device=DEVICE, board="none", clock_mhz=100
            )
            try:
                model, _ = dataflow_model(design)
            except UnsupportedError as error:
                return str(error)
            met = FinnExecution(model, design.graph).run(whole.frames)
            ends = zip(design.graph.outputs, whole.expected.values(), strict=True)
            for name, wanted in ends:
                np.testing.assert_array_equal(met[name], wanted, err_msg=f"FINN: {case.op} {fold}, stream {name}")
            chosen = model.transform(SpecializeLayers(PART)).transform(PrepareIP(PART, 10.0)).graph.node
            assert all(node.op_type.endswith(("_hls", "_rtl")) for node in chosen), (case.op, fold)
        return ""
