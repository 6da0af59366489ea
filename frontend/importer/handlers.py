"""Which function imports which ONNX op type."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.frontend.finn import handlers as finn
from muxflow.frontend.importer import elementwise, joins, layers, quantizers
from muxflow.frontend.importer.float_chain import BINARY, UNARY
from muxflow.frontend.importer.walk import REORDERINGS, Handler

HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(UNARY, elementwise.unary),
    **dict.fromkeys(BINARY, elementwise.with_constant),
    **dict.fromkeys(REORDERINGS, elementwise.reorder),
    "Shape": elementwise.shape,
    **dict.fromkeys(("Softmax", "LogSoftmax"), elementwise.drop_softmax),
    "BatchNormalization": elementwise.batch_normalization,
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant"), quantizers.quantize),
    "Trunc": quantizers.truncate,
    "Conv": layers.convolution,
    "Gemm": layers.dense,
    "MatMul": finn.matmul,
    **dict.fromkeys(("MaxPool", "AveragePool"), layers.pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"), layers.global_pool),
    "Add": joins.add,
    "Concat": joins.concat,
    "MuxShift": joins.mux_shift,
    "OrJoin": joins.or_join,
    "CellularAutomatonWeights": joins.automaton_weights,
    "MultiThreshold": finn.multi_threshold,
    "XnorPopcountMatMul": finn.xnor_popcount,
    "Im2Col": finn.im2col,
    "MaxPoolNHWC": finn.max_pool,
}
