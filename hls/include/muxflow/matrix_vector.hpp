// Matrix-vector product, dense or in groups (depthwise is one channel a group); weights arrive as a stream.
#ifndef MUXFLOW_MATRIX_VECTOR_HPP
#define MUXFLOW_MATRIX_VECTOR_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {

/// The inner products of one step. The two builds sum the same products; only the arrangement differs: synthesis wants
/// plain unrolled loops, a processor wants its operands side by side in wide registers.
template <class X, class W, class Y, int ROWS, int PE, int SIMD> struct Product {
  typedef typename Y::element Accumulator;

#ifndef MUXFLOW_NATIVE
  typedef X Operand;
  static const int SUMS = ROWS;

  static X fetch(X& held, bool fresh, stream<X>& x_stream) {
#pragma HLS inline
    X x = held;
    if (fresh) {
      x = x_stream.read();
      held = x;
    }
    return x;
  }
  static void accumulate(Accumulator (&sums)[SUMS], const X& x, const W& w) {
#pragma HLS inline
    for (int column = 0; column < SIMD; ++column) {
#pragma HLS unroll
      for (int row = 0; row < ROWS; ++row) {
#pragma HLS unroll
        sums[row] += x.get(row / PE * SIMD + column) * w.get(column * ROWS + row);
      }
    }
  }
  static Accumulator total(const Accumulator (&sums)[SUMS], int row) {
#pragma HLS inline
    return sums[row];
  }
#else
  // One row: a dot product. Several: each column of x is spread over the rows once and used for every neuron step, and
  // COLUMNS columns are summed apart.
  static const int COLUMNS = ROWS == 1 ? 1 : SIMD % 4 == 0 && ROWS <= 8 ? 4 : SIMD % 2 == 0 && ROWS <= 16 ? 2 : 1;
  static const int SUMS = COLUMNS * ROWS;
  struct Operand {
    Accumulator spread[ROWS == 1 ? 1 : SIMD * ROWS];
    X x;
  };

  static const Operand& fetch(Operand& held, bool fresh, stream<X>& x_stream) {
    if (fresh) {
      held.x = x_stream.read();
      if (ROWS > 1) {
        for (int column = 0; column < SIMD; ++column) {
          for (int row = 0; row < ROWS; ++row) {
            held.spread[column * ROWS + row] = held.x.get(row / PE * SIMD + column);
          }
        }
      }
    }
    return held;
  }
  static void accumulate(Accumulator (&sums)[SUMS], const Operand& x, const W& w) {
    if (ROWS == 1) {
      Wide sum = 0;
      for (int column = 0; column < SIMD; ++column) sum += Wide(x.x.data[column]) * Wide(w.data[column]);
      sums[0] += sum;
    } else {
      for (int first = 0; first < SIMD * ROWS; first += SUMS) {
        for (int i = 0; i < SUMS; ++i) sums[i] += Accumulator(x.spread[first + i] * w.data[first + i]);
      }
    }
  }
  static Accumulator total(const Accumulator (&sums)[SUMS], int row) {
    Accumulator sum = 0;
    for (int column = 0; column < COLUMNS; ++column) sum += sums[column * ROWS + row];
    return sum;
  }

 private:
  // Processors have an instruction for the dot product of bytes in 32-bit sums.
  typedef typename Integer<(Y::BITS < 32 ? 32 : 64), true>::type Wide;
#endif
};

}  // namespace detail

/// \tparam VECTORS       input vectors in a frame
/// \tparam GROUP_FOLD    steps over the groups of a vector, GROUP_LANES groups in each
/// \tparam NEURON_FOLD   steps over the rows of a group, PE rows in each
/// \tparam SYNAPSE_FOLD  steps over the columns of a group, SIMD columns in each
///
/// x: GROUP_LANES * SIMD elements a beat, [group][column].
/// w: SIMD * GROUP_LANES * PE elements a beat, [column][group][row]: the rows of one column lie side by side.
/// y: GROUP_LANES * PE elements a beat, [group][row].
///
/// Invariant: before step i of the flattened loop, the accumulators hold the products of rows neuron * PE ... + PE - 1
/// with the first synapse * SIMD columns of the present vector and group, and x_buffer the beats of it read so far.
template <int VECTORS, int GROUP_FOLD, int GROUP_LANES, int NEURON_FOLD, int SYNAPSE_FOLD, int PE, int SIMD, class X,
          class W, class Y>
void matrix_vector(stream<X>& x_stream, stream<W>& w_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == GROUP_LANES * SIMD, "input lanes must be GROUP_LANES * SIMD");
  static_assert(W::LANES == SIMD * GROUP_LANES * PE, "weight lanes must be SIMD * GROUP_LANES * PE");
  static_assert(Y::LANES == GROUP_LANES * PE, "output lanes must be GROUP_LANES * PE");
  static_assert(GROUP_LANES == 1 || NEURON_FOLD == 1, "parallel groups need all rows of a group in one step");
  const int ROWS = GROUP_LANES * PE;
  typedef detail::Product<X, W, Y, ROWS, PE, SIMD> Product;

  typename Product::Operand x_buffer[SYNAPSE_FOLD];
  typename Y::element accumulator[Product::SUMS];
#pragma HLS array_partition variable=accumulator complete
  int synapse = 0;
  int neuron = 0;
  for (long step = 0; step < long(VECTORS) * GROUP_FOLD * NEURON_FOLD * SYNAPSE_FOLD; ++step) {
#pragma HLS pipeline II=1
    const typename Product::Operand& x = Product::fetch(x_buffer[synapse], neuron == 0, x_stream);
    const W& w = w_stream.read();
    if (synapse == 0) {
      for (int i = 0; i < Product::SUMS; ++i) {
#pragma HLS unroll
        accumulator[i] = 0;
      }
    }
    Product::accumulate(accumulator, x, w);
    if (++synapse == SYNAPSE_FOLD) {
      synapse = 0;
      Y y;
      for (int row = 0; row < ROWS; ++row) {
#pragma HLS unroll
        y.set(row, Product::total(accumulator, row));
      }
      y_stream.write(y);
      if (++neuron == NEURON_FOLD) neuron = 0;
    }
  }
}

}  // namespace muxflow

#endif
