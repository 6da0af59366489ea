// LSTM cell: a recurrent layer over the positions of a stream, its state inside.
#ifndef MUXFLOW_LSTM_CELL_HPP
#define MUXFLOW_LSTM_CELL_HPP

#include "muxflow/matrix_vector.hpp"
#include "muxflow/memory.hpp"
#include "muxflow/stream.hpp"
#include "muxflow/sums.hpp"
#include "muxflow/table.hpp"
#include "muxflow/threshold.hpp"

namespace muxflow {

namespace detail {
/// One value where a kernel reads a stream.
template <class X> struct Single {
  X value;
  X read() const {
#pragma HLS inline
    return value;
  }
};

/// The state as the output gate meets it: how many of its thresholds it reaches, or the state itself where there are none.
template <int STEPS, int BASE, class Q, class Cells, class To> struct Squash {
  static To of(typename Q::Data& table, const Cells& cells) {
#pragma HLS inline
    const Reached<Q, STEPS, Cells> reached(table, 0, cells);
    To squashed;
    for (int lane = 0; lane < To::LANES; ++lane) {
#pragma HLS unroll
      squashed.set(lane, BASE + reached.count(lane));
    }
    return squashed;
  }
};
template <int BASE, class Q, class Cells, class To> struct Squash<0, BASE, Q, Cells, To> {
  static To of(typename Q::Data&, const Cells& cells) {
#pragma HLS inline
    To squashed;
    for (int lane = 0; lane < To::LANES; ++lane) {
#pragma HLS unroll
      squashed.set(lane, cells.get(lane));
    }
    return squashed;
  }
};

/// Which frame is under way where a state goes on from frame to frame, and whether it begins anew.
///
/// The first one does, and each that the host names in a register of two bits: whether its number is odd, and a bit that
/// changes with each frame named so. The host names the frame after the next one: this kernel may read the register while
/// it waits for a frame, before the host writes it, or when the frame has come, and begins anew with the named one either way.
struct Sequence {
  bool begun, odd, named;

  template <class R> bool begins(typename R::Data& anew) {
#pragma HLS inline
    const bool asked = R::get(anew, 0, 1) != named && R::get(anew, 0, 0) == odd;
    const bool first = asked || !begun;
    begun = true;
    odd = !odd;
    named = named != asked;
    return first;
  }
};

template <class B> void clear(B& beat) {
#pragma HLS inline
  for (int lane = 0; lane < B::LANES; ++lane) {
#pragma HLS unroll
    beat.set(lane, 0);
  }
}
}  // namespace detail

/// A cell as a function; its constructors are the calls.
///
/// \tparam STEPS, ROW_FOLD, COLUMN_FOLD  steps in a frame, iterations over the rows of the weights, over their columns
/// \tparam WAIT          idle iterations before each step, until the outputs of the step before are held
/// \tparam PE, SIMD      rows and columns at once; a unit has four rows, its gates i, f, g, o
/// \tparam LAST          whether the last step's outputs alone are sent
/// \tparam TERNARY, DSP  of the weights and their products, as in a matrix-vector product
/// \tparam SUM_BITS      of what the gates compare; GATE_STEPS, GATE_BITS: thresholds and codes of a gate, of base BASE_*
/// \tparam KEPT, ADDED   factors of f c and i g; UPDATE_BITS: of their sum; SHIFT: of it
/// \tparam EACH          whether the shift is of each of them, half to even, and both are clipped
/// \tparam STATE_BITS    of the state in [LOWEST, HIGHEST]; PRODUCT_BITS: of output gate times state, squashed
/// \tparam STEPS_Q, BASE_Q, BITS_Q  thresholds of the squashed state, 0 for none, its lowest code, its bits
/// \tparam STEPS_H, BASE_H, BITS_H, SIGNED_H  thresholds of the output, its lowest code, its type
/// \tparam BLOCK_*       whether outputs and state are planned in block RAM
/// \tparam T, H, Q       tables of the thresholds of gates, outputs and state; R: of the frame that begins anew
///
/// x: PE elements a beat, w: SIMD * PE, [column][row]; y: the units that are finished at once.
/// Invariant: before the first iteration of a step that is not idle, the half `held.upper` of `held.outputs` is the output
/// of the step before; before that of row block r, the units of the blocks before it are in the other half and in
/// `held.state`. WAIT is long enough for the last write of a step to come before the first read of the next one.
template <int STEPS, int ROW_FOLD, int COLUMN_FOLD, int WAIT, int PE, int SIMD, bool LAST, bool TERNARY, bool DSP,
          int SUM_BITS, int GATE_STEPS, int GATE_BITS, int BASE_I, int BASE_F, int BASE_G, int BASE_O, int KEPT, int ADDED,
          int UPDATE_BITS, int SHIFT, bool EACH, int STATE_BITS, int LOWEST, int HIGHEST, int STEPS_Q, int BASE_Q,
          int BITS_Q, int PRODUCT_BITS, int STEPS_H, int BASE_H, int BITS_H, bool SIGNED_H, bool BLOCK_H, bool BLOCK_C,
          class T, class H, class Q, class R = H>
class lstm_cell {
  static const int UNITS = PE < 4 ? 1 : PE / 4;  // finished at once
  static const int PARTS = PE < 4 ? 4 / PE : 1;  // row blocks of a unit
  static_assert(UNITS * 4 == PE * PARTS && SIMD % UNITS == 0, "whole units, in words of SIMD");
  typedef Beat<BITS_H, SIGNED_H, SIMD> Word;
  typedef Beat<STATE_BITS, true, UNITS> Cells;
  typedef Beat<SUM_BITS, true, PE> Sums;
  typedef Beat<GATE_BITS, true, PE> Codes;
  typedef Beat<GATE_BITS, true, 4 * UNITS> Gates;
  typedef Beat<BITS_Q, true, UNITS> Squashed;
  typedef Beat<PRODUCT_BITS, true, UNITS> Products;
  typedef typename Integer<UPDATE_BITS, true>::type Update;
  typedef typename Integer<PRODUCT_BITS, true>::type Weighed;

 public:
  /// What it holds from step to step: outputs of the present step and of the one before, in words of SIMD, and the state.
  struct State {
    Lasting<Word, 2 * COLUMN_FOLD, BLOCK_H> outputs;
    Lasting<Cells, ROW_FOLD / PARTS, BLOCK_C> state;
    bool upper;  // whether the step before is the upper half of `outputs`
    detail::Sequence sequence;
  };

  /// A frame begins with the state 0.
  template <class X, class Weights, class Y>
  lstm_cell(typename T::Data& gates, typename H::Data& outputs, typename Q::Data& squash, stream<X>& x_stream,
            Weights& weights, stream<Y>& y_stream) {
#pragma HLS inline
    State held;
    held.upper = false;
    run(held, true, gates, outputs, squash, x_stream, weights, y_stream);
  }
  /// A frame goes on with the state that the one before left; the first one, and those that the host names, begin with 0.
  template <class X, class Weights, class Y>
  lstm_cell(State& held, typename T::Data& gates, typename H::Data& outputs, typename Q::Data& squash,
            typename R::Data& anew, stream<X>& x_stream, Weights& weights, stream<Y>& y_stream) {
#pragma HLS inline
    run(held, held.sequence.template begins<R>(anew), gates, outputs, squash, x_stream, weights, y_stream);
  }

 private:
  /// The codes of the gates that a row block holds, `part` of its units.
  static Codes codes(typename T::Data& table, int row, int part, const Sums& sums) {
#pragma HLS inline
    const detail::Reached<T, GATE_STEPS, Sums> reached(table, row, sums);
    Codes codes;
    for (int lane = 0; lane < PE; ++lane) {
#pragma HLS unroll
      const int gate = (part * PE + lane) % 4;
      const int base = gate == 0 ? BASE_I : gate == 1 ? BASE_F : gate == 2 ? BASE_G : BASE_O;
      codes.set(lane, base + reached.count(lane));
    }
    return codes;
  }
  static Update clipped(const Update& value) {
#pragma HLS inline
    return choose(value < Update(LOWEST), Update(LOWEST), choose(value > Update(HIGHEST), Update(HIGHEST), value));
  }
  /// A summand, rounded half to even and clipped.
  static Update rounded(const Update& value) {
#pragma HLS inline
    const int HALF = (1 << SHIFT) >> 1;
    Update even = value;
    if (SHIFT > 0) even = (value + (HALF - 1) + ((value >> SHIFT) & 1)) >> SHIFT;
    return clipped(even);
  }
  /// Brings the state of units one step on; gives their output gates times it, squashed.
  static Products updated(const Gates& gates, Cells& cells, typename Q::Data& squash) {
#pragma HLS inline
    for (int lane = 0; lane < UNITS; ++lane) {
#pragma HLS unroll
      const Update kept = detail::product<Update>(gates.get(4 * lane + 1), cells.get(lane)) * KEPT;
      const Update added = detail::product<Update>(gates.get(4 * lane), gates.get(4 * lane + 2)) * ADDED;
      Update sum = 0;
      if (EACH) {
        sum = rounded(kept) + rounded(added);
      } else {
        sum = (kept + added) >> SHIFT;
      }
      cells.set(lane, clipped(sum));
    }
    const Squashed squashed = detail::Squash<STEPS_Q, BASE_Q, Q, Cells, Squashed>::of(squash, cells);
    Products products;
    for (int lane = 0; lane < UNITS; ++lane) {
#pragma HLS unroll
      products.set(lane, detail::product<Weighed>(gates.get(4 * lane + 3), squashed.get(lane)));
    }
    return products;
  }

  template <class X, class Weights, class Y>
  static void run(State& held, bool begins, typename T::Data& thresholds, typename H::Data& outputs,
                  typename Q::Data& squash, stream<X>& x_stream, Weights& weights, stream<Y>& y_stream) {
#pragma HLS inline
    typedef typename BeatOf<Weights>::type W;
    typedef detail::Product<Word, W, Sums, PE, PE, PE, SIMD, COLUMN_FOLD * SIMD, TERNARY, DSP> Product;
    static_assert(X::LANES == PE && W::LANES == SIMD * PE && Y::LANES == UNITS, "PE rows, SIMD * PE weights, whole units");
    const int WORK = ROW_FOLD * COLUMN_FOLD;
    typename Product::Sum sums[Product::SUMS];
#pragma HLS array_partition variable=sums complete
    Gates gates;
    Word word;
    held.outputs.placed();
    held.state.placed();
    bool fresh = begins;
    Counter<WAIT + WORK> place;
    Counter<COLUMN_FOLD> column, written;
    Counter<ROW_FOLD> row;
    Counter<PARTS> part;
    Counter<ROW_FOLD / PARTS> unit;
    Counter<SIMD / UNITS> in_word;
    Counter<STEPS> step;
    for (long iteration = 0; iteration < long(STEPS) * (WAIT + WORK); ++iteration) {
#pragma HLS pipeline II=1 style=flp
      const bool works = place >= WAIT;
      place.next();
      if (works) {
        detail::Single<Word> before;
        if (fresh) {
          detail::clear(before.value);
        } else {
          before.value = held.outputs[(held.upper ? COLUMN_FOLD : 0) + column];
        }
        typename Product::Operand fetched;
        const typename Product::Operand& h = Product::fetch(fetched, true, before);
        const W w = weights.read();
        if (column == 0) {
          for (int i = 0; i < Product::SUMS; ++i) {
#pragma HLS unroll
            sums[i] = 0;
          }
        }
        Product::accumulate(sums, h, w);
        if (column.next()) {
          const X x = x_stream.read();
          Sums whole;
          for (int lane = 0; lane < PE; ++lane) {
#pragma HLS unroll
            typedef typename Sums::element Sum;
            whole.set(lane, operand<Sum>(Product::total(sums, lane)) + operand<Sum>(x.get(lane)));
          }
          gates.push(codes(thresholds, row, part, whole), part);
          if (part.next()) {
            Cells cells = held.state[unit];
            if (fresh) detail::clear(cells);
            const Products products = updated(gates, cells, squash);
            held.state[unit] = cells;
            const detail::Reached<H, STEPS_H, Products> reached(outputs, unit, products);
            Y y;
            for (int lane = 0; lane < UNITS; ++lane) {
#pragma HLS unroll
              y.set(lane, BASE_H + reached.count(lane));
            }
            if (!LAST || step.last()) y_stream.write(y);
            word.push(y, in_word);
            if (in_word.next()) {
              held.outputs[(held.upper ? 0 : COLUMN_FOLD) + written] = word;
              written.next();
            }
            unit.next();
          }
          if (row.next()) {
            fresh = false;
            held.upper = !held.upper;
            step.next();
          }
        }
      }
    }
  }
};

}  // namespace muxflow

#endif
