"""Weights as a stream between FINN nodes: the cellular automaton that makes them, and a product that takes them.

The stream is that of FINN's MVAU with `mem_mode` "external": the whole matrix once for each vector, PE * SIMD weights a
beat in the order [row][column], in steps over the rows and, inside, over the columns. As a tensor it is one matrix,
(MW, MH) = (columns, rows).
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.folded import Folded, fold_op
from muxflow.dataflow.op import Fold, IntArray
from muxflow.dataflow.ops import automaton_weights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.hls.emit import Region, beat_type, stream_definition
from muxflow.hls.finn.node import Attributes, MuxflowNode
from muxflow.hls.finn.streams import stream
from muxflow.hls.kernels import KERNELS

MATRIX: Attributes = {"SIMD": ("i", True, 1), "MW": ("i", True, 1), "MH": ("i", True, 1)}
"""Attributes of a matrix of MH rows and MW columns, FINN's names."""


class MatrixNode(MuxflowNode):
    """What nodes with a weight stream share."""

    def fold(self) -> Fold:
        """Return PE rows and SIMD columns at once; raises GraphError when they do not divide the matrix."""
        fold = Fold(self.get_nodeattr("PE"), self.get_nodeattr("SIMD"))
        rows, columns = self.get_nodeattr("MH"), self.get_nodeattr("MW")
        if min(fold.pe, fold.simd) < 1 or rows % fold.pe or columns % fold.simd:
            raise GraphError(f"the fold '{fold}' does not divide a matrix of {rows} rows and {columns} columns")
        return fold

    def vectors(self) -> int:
        """Count the vectors in a frame."""
        return prod(self.get_nodeattr("numInputVectors"))

    def weight_shape(self) -> tuple[int, int, int]:
        """Return the folded shape of the weight stream: vectors, beats of the matrix, weights of a beat."""
        (fold,) = self.folded().folds.values()
        return self.vectors(), self.get_nodeattr("MH") * self.get_nodeattr("MW") // fold.parallel, fold.parallel

    def tiles(self, weights: IntArray) -> IntArray:
        """Put a matrix (columns, rows) in the order of the beats, shape `weight_shape()`."""
        fold = self.fold()
        columns, rows = weights.shape
        split = weights.T.reshape(rows // fold.pe, fold.pe, columns // fold.simd, fold.simd)
        once = split.transpose(0, 2, 1, 3).reshape(1, -1, fold.parallel)
        return once.repeat(self.vectors(), axis=0)

    def transposed(self, text: Region, port: str, name: str, *, writes: bool) -> Region:
        """Add the process between the `port` and the inner stream of weights, `name`, in Muxflow's order to a region's text."""
        graph, fold = self.folded().graph, self.fold()
        weights = graph.streams[(graph.outputs if writes else graph.inputs)[-1]]
        outer, inner = (fold.simd, fold.pe) if writes else (fold.pe, fold.simd)
        ends = (name, port) if writes else (port, name)
        call = f"  muxflow::transpose_lanes<{weights.beats}, {outer}, {inner}>({', '.join(ends)});"
        declared = [f"  typedef muxflow::{beat_type(weights)} {name}_t;", stream_definition(f"{name}_t", name, 2)]
        body = [*declared, *([text.body, call] if writes else [call, text.body])]
        return replace(
            text,
            headers=(*text.headers, "muxflow/finn/transpose_lanes.hpp"),
            parameters=tuple(parameter.replace(f"& {name}", f"& {port}") for parameter in text.parameters),
            body="\n".join(body),
        )


class AutomatonWeights(MatrixNode):
    """Weights of an elementary cellular automaton, made while they are sent; no input, no memory.

    Output: (MW, MH), BIPOLAR or TERNARY. Source: MOGNET (arXiv 2501.09531), CFLOG.
    """

    def own_attributes(self) -> Attributes:
        """Return the matrix, and the fields of `muxflow.dataflow.automaton.Automaton`."""
        return {
            **MATRIX,
            "NumChannels": ("ints", False, []),
            "inputDataTypes": ("strings", False, []),
            "rule": ("i", False, 30),
            "ring": ("i", True, 0),
            "seed": ("i", False, 0),
            "burn_in": ("i", False, 0),
            "alphabet": ("s", False, "binary", {"binary", "ternary"}),
        }

    def build(self) -> Folded:
        """Build one automaton."""
        fields = {name: self.get_nodeattr(name) for name in ("ring", "rule", "seed", "burn_in", "alphabet")}
        op = automaton_weights.AutomatonWeights(
            self.get_nodeattr("MH"), self.get_nodeattr("MW"), **fields, repeats=self.vectors()
        )
        return fold_op(op, (), self.fold(), KERNELS)

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return (columns, rows)."""
        return self.get_nodeattr("MW"), self.get_nodeattr("MH")

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return vectors, beats of the matrix, weights of a beat."""
        return self.weight_shape()

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Return the matrix, columns first."""
        (matrix,) = self.folded().graph.compute()
        return (matrix.T,)

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Return no counts: nothing is stored."""
        return {}

    def wrap(self, text: Region) -> Region:
        """Add to the generator a process that puts the lanes in FINN's order."""
        return self.transposed(text, "out0_V", "s_weights", writes=True)

    def inner_ports(self) -> list[str]:
        """Name the port that the generator writes in Muxflow's order."""
        return ["s_weights"]

    def word_bits(self) -> int:
        """Return the width of the ring, which is one word."""
        return max(super().word_bits(), int(self.get_nodeattr("ring")))

    def npy_to_dynamic_output(self, context: dict[str, Any]) -> None:
        """Read the first matrix that a C++ simulation sent."""
        folder = self.get_nodeattr("code_gen_dir_cppsim")
        sent = np.load(f"{folder}/output_0.npy").reshape(self.weight_shape())
        fold, columns, rows = self.fold(), self.get_nodeattr("MW"), self.get_nodeattr("MH")
        if (sent != sent[:1]).any():
            raise GraphError(f"{self.onnx_node.name}: the matrix differs from one vector to the next")
        split = sent[0].reshape(rows // fold.pe, columns // fold.simd, fold.pe, fold.simd)
        context[self.onnx_node.output[0]] = split.transpose(1, 3, 0, 2).reshape(columns, rows)


class StreamedMVAU(MatrixNode):
    """Muxflow's matrix-vector product with a weight stream, for inputs that FINN's MVAU does not take (BINARY); accumulators out.

    Inputs: x (1, ..., MW); weights (MW, MH). `outputDataType`: of the accumulators, the worst case when empty.
    """

    def own_attributes(self) -> Attributes:
        """Return the matrix and the data types."""
        return {
            **MATRIX,
            "weightDataType": ("s", True, ""),
            "outputDataType": ("s", False, ""),
            "inFIFODepths": ("ints", False, [2, 2]),
        }

    def build(self) -> Folded:
        """Build one matrix-vector product."""
        weights = replace(
            stream((self.get_nodeattr("MH"), self.get_nodeattr("MW")), self.get_nodeattr("weightDataType")),
            repeats=self.vectors(),
        )
        folded = fold_op(MatrixVector(), (*super().input_streams(), weights), self.fold(), KERNELS)
        kind = self.get_nodeattr("outputDataType")
        if not kind:
            return folded
        streams = dict(folded.graph.streams)
        streams["y0"] = stream(streams["y0"].shape, kind).with_lanes(streams["y0"].lanes)
        return replace(folded, graph=replace(folded.graph, streams=streams))

    def infer_node_datatype(self, model: Any) -> None:
        """Take the types of both input tensors over."""
        x, weights = (model.get_tensor_datatype(name).name for name in self.onnx_node.input)
        self.set_nodeattr("inputDataTypes", [x])
        self.set_nodeattr("weightDataType", weights)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return the shape of x, or of the weights: (columns, rows)."""
        return (self.get_nodeattr("MW"), self.get_nodeattr("MH")) if ind else super().get_normal_input_shape(0)

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return the folded shape of x, or of the weight stream."""
        return self.weight_shape() if ind else super().get_folded_input_shape(0)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Compute the product; weights come columns first."""
        x, weights = inputs
        return self.folded().graph.compute(x, weights.T)

    def fold_input_for_npy(self, values: Any, ind: int) -> Any:
        """Return what a C++ simulation reads: the weights once for each vector."""
        return self.tiles(values) if ind else values.reshape(self.get_folded_input_shape(0))

    def wrap(self, text: Region) -> Region:
        """Add before the product a process that puts the weights' lanes in Muxflow's order."""
        return self.transposed(text, "in1_V", "s_weights", writes=False)

    def inner_ports(self) -> list[str]:
        """Name the port that the product reads in Muxflow's order."""
        return ["in0_V", "s_weights", "out0_V"]
