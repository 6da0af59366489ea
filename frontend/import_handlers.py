"""Which function imports which ONNX op type."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.frontend import import_elementwise, import_finn, import_joins, import_layers, import_quantizers
from muxflow.frontend.float_chain import BINARY, UNARY
from muxflow.frontend.importer import REORDERINGS, Handler

HANDLERS: Mapping[str, Handler] = {
    **dict.fromkeys(UNARY, import_elementwise.unary),
    **dict.fromkeys(BINARY, import_elementwise.with_constant),
    **dict.fromkeys(REORDERINGS, import_elementwise.reorder),
    "Shape": import_elementwise.shape,
    **dict.fromkeys(("Softmax", "LogSoftmax"), import_elementwise.drop_softmax),
    "BatchNormalization": import_elementwise.batch_normalization,
    **dict.fromkeys(("Quant", "IntQuant", "BipolarQuant"), import_quantizers.quantize),
    "Trunc": import_quantizers.truncate,
    "Conv": import_layers.convolution,
    "Gemm": import_layers.dense,
    "MatMul": import_finn.matmul,
    **dict.fromkeys(("MaxPool", "AveragePool"), import_layers.pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"), import_layers.global_pool),
    "Add": import_joins.add,
    "Concat": import_joins.concat,
    "MuxShift": import_joins.mux_shift,
    "OrJoin": import_joins.or_join,
    "CellularAutomatonWeights": import_joins.automaton_weights,
    "MultiThreshold": import_finn.multi_threshold,
    "XnorPopcountMatMul": import_finn.xnor_popcount,
    "Im2Col": import_finn.im2col,
    "MaxPoolNHWC": import_finn.max_pool,
}
