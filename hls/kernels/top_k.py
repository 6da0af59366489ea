"""Top-k in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.top_k import TopK
from muxflow.hls.kernels.base import Kernel, Unit


class TopKKernel(Kernel[TopK], op=TopK):
    """K places, sorted by insertion."""

    def cost(self, op: TopK, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and for each of the k places a comparison, and a choice of three for value and index (derived)."""
        bits = op.k * 2 * (ports.inputs[0].bits + ports.outputs[0].bits)
        lut, ff = estimate(process=PROCESS)
        return Cost(lut + bits, ff + bits, depth=2, unrolled=op.k)

    def unit(self, op: TopK, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        return self.call("top_k", (("VECTORS", x.pixels), ("CLASSES", x.channels), ("K", op.k)))
