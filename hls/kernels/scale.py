"""Scale in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate, products
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import Fold, IntArray, Ports
from muxflow.dataflow.ops.scale import Scale
from muxflow.hls.kernels.base import Kernel, Table, Unit
from muxflow.hls.kernels.channel_table import channel_table


class ScaleKernel(Kernel[Scale], op=Scale):
    """One product a lane."""

    def cost(self, op: Scale, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and a product for each lane as in a matrix-vector unit, none where all are one power of two."""
        lanes = fold.operations
        factor_bits = width(int(op.factors.min()), int(op.factors.max()))[0]
        one = (op.factors == op.factors.flat[0]).all() and abs(int(op.factors.flat[0])).bit_count() == 1
        amounts = {} if one else products(factor_bits, ports.inputs[0].bits, False)
        lane = {amount: lanes * share for amount, share in amounts.items()}
        lut, ff = estimate(process=PROCESS, matrix_vector=lane)
        rows, columns = _table(op, ports, fold).shape
        return Cost(
            lut,
            ff + lanes * ports.outputs[0].bits,
            memories=(Memory("factors", "threshold", rows, columns * factor_bits),),
            depth=3,
            unrolled=lanes,
        )

    def unit(self, op: Scale, ports: Ports, fold: Fold) -> Unit:
        table = _table(op, ports, fold)
        beats = ports.inputs[0].size // fold.operations
        share = ports.inputs[0].channels // fold.pe if op.by_pixel else 1
        sizes = (("ROUNDS", beats // (len(table) * share)), ("ROWS", len(table)), ("SHARE", share))
        return self.call(
            "scale",
            (*sizes, ("BY_PIXEL", op.by_pixel)),
            Table("factors", table, int(table.min()), int(table.max())),
        )


def _table(op: Scale, ports: Ports, fold: Fold) -> IntArray:
    """Give the factors of a beat in each row: one for each lane of a pixel, or one for all lanes of each pixel."""
    return op.factors.reshape(-1, fold.pixels) if op.by_pixel else channel_table(op.factors, ports.inputs[0], fold)
