"""Top-k in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.top_k import TopK
from muxflow.hls.kernels.base import Kernel, Unit


class TopKKernel(Kernel[TopK], op=TopK):
    """K places, sorted by insertion."""

    def cost(self, op: TopK, ports: Ports, fold: Fold) -> Cost:
        """Count for each of the k places a comparison, and a choice of three for value and index."""
        bits = op.k * 2 * (ports.inputs[0].bits + ports.outputs[0].bits)
        return Cost(bits + self.control_lut(op, ports, fold), bits + 20, depth=2, unrolled=op.k)

    def unit(self, op: TopK, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        return self.call("top_k", (("VECTORS", x.pixels), ("CLASSES", x.channels), ("K", op.k)))
