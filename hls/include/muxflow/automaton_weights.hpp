// Weight source: a cellular automaton that makes each row of the matrix from the one before; nothing is stored.
#ifndef MUXFLOW_AUTOMATON_WEIGHTS_HPP
#define MUXFLOW_AUTOMATON_WEIGHTS_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// RING cells of an elementary automaton on a periodic ring.
template <int RING> struct CellRow {
#ifdef MUXFLOW_NATIVE
  // One guard cell at either end, so that a step has no special case and the compiler can use wide registers.
  unsigned char cell[RING + 2];
  signed char get(int i) const { return cell[i + 1]; }
  template <class T> void load(const T* start) {
    for (int i = 0; i < RING; ++i) cell[i + 1] = static_cast<unsigned char>(start[i]);
  }
  template <int RULE> void step() {
    cell[0] = cell[RING];
    cell[RING + 1] = cell[1];
    unsigned char next[RING];
    for (int i = 0; i < RING; ++i) next[i] = apply<RULE>(cell[i], cell[i + 1], cell[i + 2]);
    for (int i = 0; i < RING; ++i) cell[i + 1] = next[i];
  }
  template <int RULE> static unsigned char apply(unsigned char left, unsigned char self, unsigned char right) {
    if (RULE == 30) return left ^ (self | right);
    unsigned char on = 0;
    for (int pattern = 0; pattern < 8; ++pattern) {
      if ((RULE >> pattern) & 1) {
        on |= (((pattern >> 2) & 1) ? left : left ^ 1) & (((pattern >> 1) & 1) ? self : self ^ 1) &
              ((pattern & 1) ? right : right ^ 1);
      }
    }
    return on;
  }
#else
  ap_uint<RING> cell;
  int get(int i) const { return cell[i] ? 1 : 0; }
  template <class T> void load(const T* start) {
    for (int i = 0; i < RING; ++i) {
#pragma HLS unroll
      cell[i] = start[i] != 0;
    }
  }
  template <int RULE> void step() {
#pragma HLS inline
    ap_uint<RING> next;
    for (int i = 0; i < RING; ++i) {
#pragma HLS unroll
      const int pattern = 4 * int(cell[(i + RING - 1) % RING]) + 2 * int(cell[i]) + int(cell[(i + 1) % RING]);
      next[i] = (RULE >> pattern) & 1;
    }
    cell = next;
  }
#endif
};

/// \tparam REPEATS       how often the matrix is sent in a frame
/// \tparam NEURON_FOLD   steps over the rows, PE rows in each
/// \tparam SYNAPSE_FOLD  steps over the columns, SIMD columns in each
/// \tparam RING          cells on the ring
/// \tparam RULE          elementary rule, Wolfram number
/// \tparam CELLS         cells a weight reads: 1 (binary, 2 * bit - 1) or 2 (ternary, first bit - second bit)
///
/// start: the ring behind row 0 (after burn-in). w: SIMD * PE elements a beat, [column][row].
///
/// Invariant: at the first synapse step of a neuron step, `row` is the ring behind matrix row neuron * PE; the PE rows
/// of the step are made from it by a chain of PE - 1 combinational steps and held for its SYNAPSE_FOLD beats.
template <int REPEATS, int NEURON_FOLD, int SYNAPSE_FOLD, int PE, int SIMD, int RING, int RULE, int CELLS, class T,
          class W>
void automaton_weights(const T (&start)[RING], stream<W>& w_stream) {
#pragma HLS inline
  static_assert(W::LANES == SIMD * PE, "weight lanes must be SIMD * PE");
  static_assert(SYNAPSE_FOLD * SIMD * CELLS <= RING, "a row of weights must fit the ring");
  CellRow<RING> row;
  CellRow<RING> rows[PE];
#pragma HLS array_partition variable=rows complete
  int synapse = 0;
  int neuron = 0;
  row.load(start);
#ifdef MUXFLOW_NATIVE
  // The matrix is the same every time: the fast simulation makes it once a frame and plays it again.
  W matrix[NEURON_FOLD * SYNAPSE_FOLD];
  const long made = long(NEURON_FOLD) * SYNAPSE_FOLD;
#else
  const long made = long(REPEATS) * NEURON_FOLD * SYNAPSE_FOLD;
#endif
  for (long step = 0; step < made; ++step) {
#pragma HLS pipeline II=1
    if (synapse == 0) {
      for (int p = 0; p < PE; ++p) {
#pragma HLS unroll
        rows[p] = row;
        row.template step<RULE>();
      }
      if (++neuron == NEURON_FOLD) {
        neuron = 0;
        row.load(start);
      }
    }
    W w;
    for (int column = 0; column < SIMD; ++column) {
#pragma HLS unroll
      for (int p = 0; p < PE; ++p) {
#pragma HLS unroll
        const int cell = (synapse * SIMD + column) * CELLS;
        const int weight = CELLS == 1 ? 2 * rows[p].get(cell) - 1 : rows[p].get(cell) - rows[p].get(cell + (CELLS - 1));
        w.set(column * PE + p, weight);
      }
    }
#ifdef MUXFLOW_NATIVE
    matrix[step] = w;
#endif
    w_stream.write(w);
    if (++synapse == SYNAPSE_FOLD) synapse = 0;
  }
#ifdef MUXFLOW_NATIVE
  for (int repeat = 1; repeat < REPEATS; ++repeat) {
    for (long step = 0; step < made; ++step) w_stream.write(matrix[step]);
  }
#endif
}

}  // namespace muxflow

#endif
