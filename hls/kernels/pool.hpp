// Pools: maximum or sum over windows.
#ifndef MUXFLOW_POOL_HPP
#define MUXFLOW_POOL_HPP

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
    } else if (value > old) {
      after.set(lane, value);
    }
  }
  return after;
}
}  // namespace detail

/// Pool over windows that do not overlap (stride = kernel, no padding); one row of outputs is held, not KERNEL_H rows
/// of inputs, and a plane of outputs where windows span several planes. A window as large as the map is a global pool.
/// Maps of one and two axes have a depth of 1, those of one axis a width of 1.
/// \tparam DEPTH, HEIGHT, WIDTH, FOLD  input map; beats of a pixel
/// \tparam SUM                         true: sum, false: maximum
/// Invariant: row[place] is the pool of those pixels that came before of the window of output `place` = (output row,
/// where a plane is held, output column, fold).
template <int DEPTH, int HEIGHT, int WIDTH, int FOLD, int KERNEL_D, int KERNEL_H, int KERNEL_W, bool SUM, class X,
          class Y>
void pool(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "a pool keeps the lanes");
  const int OUT_DEPTH = DEPTH / KERNEL_D;
  const int OUT_HEIGHT = HEIGHT / KERNEL_H;
  const int OUT_WIDTH = WIDTH / KERNEL_W;
  const int HELD_ROWS = KERNEL_D > 1 ? OUT_HEIGHT : 1;
  static_assert(OUT_DEPTH > 0 && OUT_HEIGHT > 0 && OUT_WIDTH > 0, "the window must fit the map");
  Y row[HELD_ROWS * OUT_WIDTH * FOLD];
  int fold = 0, inner_x = 0, column = 0, inner_y = 0, out_row = 0, inner_z = 0, out_plane = 0;
  for (long iteration = 0; iteration < long(DEPTH) * HEIGHT * WIDTH * FOLD; ++iteration) {
#pragma HLS pipeline II=1
    const X x = x_stream.read();
    if (column < OUT_WIDTH && out_row < OUT_HEIGHT && out_plane < OUT_DEPTH) {
      const int place = ((HELD_ROWS > 1 ? out_row * OUT_WIDTH : 0) + column) * FOLD + fold;
      const bool first = inner_x == 0 && inner_y == 0 && inner_z == 0;
      const Y after = detail::pool_step<SUM>(first, row[place], x);
      row[place] = after;
      if (inner_x == KERNEL_W - 1 && inner_y == KERNEL_H - 1 && inner_z == KERNEL_D - 1) y_stream.write(after);
    }
    if (++fold == FOLD) {
      fold = 0;
      if (column * KERNEL_W + inner_x == WIDTH - 1) {
        column = 0;
        inner_x = 0;
        if (out_row * KERNEL_H + inner_y == HEIGHT - 1) {
          out_row = 0;
          inner_y = 0;
          if (++inner_z == KERNEL_D) {
            inner_z = 0;
            ++out_plane;
          }
        } else if (++inner_y == KERNEL_H) {
          inner_y = 0;
          ++out_row;
        }
      } else if (++inner_x == KERNEL_W) {
        inner_x = 0;
        ++column;
      }
    }
  }
}

}  // namespace muxflow

#endif
