// Matrix-vector product, dense or in groups (depthwise is one channel a group); weights arrive as a stream.
#ifndef MUXFLOW_MATRIX_VECTOR_HPP
#define MUXFLOW_MATRIX_VECTOR_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam VECTORS       input vectors in a frame
/// \tparam GROUP_FOLD    steps over the groups of a vector, GROUP_LANES groups in each
/// \tparam NEURON_FOLD   steps over the rows of a group, PE rows in each
/// \tparam SYNAPSE_FOLD  steps over the columns of a group, SIMD columns in each
///
/// x: GROUP_LANES * SIMD elements a beat, [group][column].
/// w: SIMD * GROUP_LANES * PE elements a beat, [column][group][row]: the rows of one column lie side by side.
/// y: GROUP_LANES * PE elements a beat, [group][row].
///
/// Invariant: before step i of the flattened loop, accumulator[g, p] holds the product of row neuron * PE + p with
/// the first synapse * SIMD columns of the present vector and group, and x_buffer the beats of this group read so far.
template <int VECTORS, int GROUP_FOLD, int GROUP_LANES, int NEURON_FOLD, int SYNAPSE_FOLD, int PE, int SIMD, class X,
          class W, class Y>
void matrix_vector(stream<X>& x_stream, stream<W>& w_stream, stream<Y>& y_stream) {
  static_assert(X::LANES == GROUP_LANES * SIMD, "input lanes must be GROUP_LANES * SIMD");
  static_assert(W::LANES == SIMD * GROUP_LANES * PE, "weight lanes must be SIMD * GROUP_LANES * PE");
  static_assert(Y::LANES == GROUP_LANES * PE, "output lanes must be GROUP_LANES * PE");
  static_assert(GROUP_LANES == 1 || NEURON_FOLD == 1, "parallel groups need all rows of a group in one step");
  typedef typename Y::element Accumulator;
  const int ROWS = GROUP_LANES * PE;

  X x_buffer[SYNAPSE_FOLD];
  Accumulator accumulator[ROWS];
#pragma HLS array_partition variable=accumulator complete
  int synapse = 0;
  int neuron = 0;
  for (long step = 0; step < long(VECTORS) * GROUP_FOLD * NEURON_FOLD * SYNAPSE_FOLD; ++step) {
#pragma HLS pipeline II=1
    X x;
    if (neuron == 0) {
      x = x_stream.read();
      x_buffer[synapse] = x;
    } else {
      x = x_buffer[synapse];
    }
    const W w = w_stream.read();
    if (synapse == 0) {
      for (int row = 0; row < ROWS; ++row) {
#pragma HLS unroll
        accumulator[row] = 0;
      }
    }
#ifdef MUXFLOW_NATIVE
    if (ROWS == 1 && Y::BITS < 32) {
      // The same sum in an int: compilers have an instruction for the dot product of bytes.
      int sum = 0;
      for (int column = 0; column < SIMD; ++column) sum += int(x.get(column)) * int(w.get(column));
      accumulator[0] += sum;
    } else
#endif
    for (int column = 0; column < SIMD; ++column) {
#pragma HLS unroll
      for (int row = 0; row < ROWS; ++row) {
#pragma HLS unroll
        accumulator[row] += operand<Accumulator>(x.get(row / PE * SIMD + column)) * w.get(column * ROWS + row);
      }
    }
    if (++synapse == SYNAPSE_FOLD) {
      synapse = 0;
      Y y;
      for (int row = 0; row < ROWS; ++row) {
#pragma HLS unroll
        y.set(row, accumulator[row]);
      }
      y_stream.write(y);
      if (++neuron == NEURON_FOLD) neuron = 0;
    }
  }
}

}  // namespace muxflow

#endif
