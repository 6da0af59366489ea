"""Scale in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate, products
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.scale import Scale
from muxflow.hls.kernels.base import Kernel, Table, Unit
from muxflow.hls.kernels.channel_table import channel_table


class ScaleKernel(Kernel[Scale], op=Scale):
    """One product a lane."""

    def cost(self, op: Scale, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and a product for each lane as in a matrix-vector unit, none where all are one power of two."""
        factor_bits = width(int(op.factors.min()), int(op.factors.max()))[0]
        one = len(set(op.factors.tolist())) == 1 and abs(int(op.factors[0])).bit_count() == 1
        amounts = {} if one else products(factor_bits, ports.inputs[0].bits, False)
        lane = {amount: fold.pe * share for amount, share in amounts.items()}
        lut, ff = estimate(process=PROCESS, matrix_vector=lane)
        return Cost(
            lut,
            ff + fold.pe * ports.outputs[0].bits,
            memories=(Memory("factors", "threshold", len(channel_table(op.factors, fold)), fold.pe * factor_bits),),
            depth=3,
            unrolled=fold.pe,
        )

    def unit(self, op: Scale, ports: Ports, fold: Fold) -> Unit:
        table = channel_table(op.factors, fold)
        return self.call(
            "scale",
            (("PIXELS", ports.inputs[0].size // table.size), ("CHANNEL_FOLD", len(table))),
            Table("factors", table, int(table.min()), int(table.max())),
        )
