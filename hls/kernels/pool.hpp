// Pools: maximum or sum over windows.
#ifndef MUXFLOW_POOL_HPP
#define MUXFLOW_POOL_HPP

#include "muxflow/memory.hpp"
#include "muxflow/pooled.hpp"
#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {
template <bool SUM, class Y, class X> Y pool_step(bool first, const Y& before, const X& x) {
#pragma HLS inline
  Y after = before;
  for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
    const typename Y::element value = x.get(lane);
    const typename Y::element old = before.get(lane);
    if (first) {
      after.set(lane, value);
    } else if (SUM) {
      after.set(lane, old + value);
    } else {
      after.set(lane, choose(value > old, value, old));
    }
  }
  return after;
}
}  // namespace detail

/// Pool over windows that do not overlap (stride = kernel, no padding); one row of outputs is held, not KERNEL_H rows
/// of inputs, and a plane of outputs where windows span several planes. A window as large as the map is a global pool.
/// Maps of one and two axes have a depth of 1, those of one axis a width of 1, a height of 1 with pixels side by side.
/// \tparam DEPTH, HEIGHT, WIDTH, FOLD  input map, as many pixels of a row as come side by side counted once; beats of a pixel
/// \tparam KERNEL_*                    the window, counted alike
/// \tparam PIXELS                      pixels side by side: those of one window, or of several whole ones of one row
/// \tparam SUM                         true: sum, false: maximum
/// \tparam BLOCK                       whether `row` is planned in block RAM
/// Invariant: `held` is, fold by fold, the pool of those pixels that came before of the present window, `row` that of the
/// windows whose last input row is still to come, in order: output row (where a plane is held), output column, fold.
///
/// A window is pooled along a row in `held` and meets `row` at its first and last pixel only, so that a place of `row` is
/// left alone from one input row to the next. Where all is one window, or windows are of one row, `held` is enough.
template <int DEPTH, int HEIGHT, int WIDTH, int FOLD, int KERNEL_D, int KERNEL_H, int KERNEL_W,
          int PIXELS, bool SUM, bool BLOCK, class X, class Y>
void pool(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  const int LANES = X::LANES / PIXELS;          // of a pixel
  const int WINDOWS = Y::LANES / LANES;         // side by side
  const int POOLED = PIXELS / WINDOWS;          // pixels of each of them
  static_assert(X::LANES == LANES * POOLED * WINDOWS, "a pool keeps the lanes of a pixel");
  const int OUT_DEPTH = DEPTH / KERNEL_D;
  const int OUT_HEIGHT = HEIGHT / KERNEL_H;
  const int OUT_WIDTH = WIDTH / KERNEL_W;
  const int HELD_ROWS = KERNEL_D > 1 ? OUT_HEIGHT : 1;
  const int ROW = OUT_WIDTH * FOLD;
  const bool SEVERAL = HELD_ROWS * OUT_WIDTH > 1 && KERNEL_D * KERNEL_H > 1;
  static_assert(OUT_DEPTH > 0 && OUT_HEIGHT > 0 && OUT_WIDTH > 0, "the window must fit the map");
  Circle<Y, FOLD, false> held;
  Places<Y, SEVERAL ? HELD_ROWS * ROW : 1, (WIDTH - KERNEL_W + 1) * FOLD, BLOCK> row;
  Counter<FOLD> fold;
  Counter<WIDTH> x;
  Counter<HEIGHT> y;
  Counter<DEPTH> z;
  Counter<KERNEL_W> inner_x;
  Counter<KERNEL_H> inner_y;
  Counter<KERNEL_D> inner_z;
  Counter<HELD_ROWS * ROW> row_start, taken, given;  // in `row`: of the output row, of the next read and write
  for (long iteration = 0; iteration < long(DEPTH) * HEIGHT * WIDTH * FOLD; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    const X pixels = x_stream.read();
    Y value;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      const int first = lane / LANES * POOLED * LANES + lane % LANES;
      value.set(lane, detail::Pixels<SUM, typename Y::element, X, LANES, POOLED>::of(pixels, first));
    }
    if (x < OUT_WIDTH * KERNEL_W && y < OUT_HEIGHT * KERNEL_H && z < OUT_DEPTH * KERNEL_D) {
      const bool first_row = inner_y == 0 && inner_z == 0;
      Y before = held.here();
      if (SEVERAL && inner_x == 0) {
        if (!first_row) before = row[taken];
        taken.next();
      }
      const Y after = detail::pool_step<SUM>(inner_x == 0 && first_row, before, value);
      held.here() = after;
      if (inner_x.last()) {
        if (SEVERAL) {
          row[given] = after;
          given.next();
        }
        if (inner_y.last() && inner_z.last()) y_stream.write(after);
      }
    }
    held.next();
    if (fold.next()) {
      inner_x.next();
      if (x.next()) {
        inner_x = Counter<KERNEL_W>();
        // Another input row of the same output row finds its places again.
        if (inner_y.last()) row_start = taken;
        taken = row_start;
        given = row_start;
        inner_y.next();
        if (y.next()) {
          inner_y = Counter<KERNEL_H>();
          row_start = taken = given = Counter<HELD_ROWS * ROW>();
          inner_z.next();
          z.next();
        }
      }
    }
  }
}

}  // namespace muxflow

#endif
