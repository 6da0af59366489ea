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
/// of inputs. A window as large as the map is a global pool.
/// \tparam HEIGHT, WIDTH, FOLD  input map; beats of a pixel
/// \tparam SUM                  true: sum, false: maximum
/// Invariant: row[column][fold] is the pool of those pixels of the window of output column `column` that came before.
template <int HEIGHT, int WIDTH, int FOLD, int KERNEL_H, int KERNEL_W, bool SUM, class X, class Y>
void pool(stream<X>& x_stream, stream<Y>& y_stream) {
  static_assert(X::LANES == Y::LANES, "a pool keeps the lanes");
  const int OUT_HEIGHT = HEIGHT / KERNEL_H;
  const int OUT_WIDTH = WIDTH / KERNEL_W;
  static_assert(OUT_HEIGHT > 0 && OUT_WIDTH > 0, "the window must fit the map");
  Y row[OUT_WIDTH * FOLD];
  int fold = 0, inner_x = 0, column = 0, inner_y = 0, out_row = 0;
  for (long step = 0; step < long(HEIGHT) * WIDTH * FOLD; ++step) {
#pragma HLS pipeline II=1
    const X x = x_stream.read();
    if (column < OUT_WIDTH && out_row < OUT_HEIGHT) {
      const Y after = detail::pool_step<SUM>(inner_x == 0 && inner_y == 0, row[column * FOLD + fold], x);
      row[column * FOLD + fold] = after;
      if (inner_x == KERNEL_W - 1 && inner_y == KERNEL_H - 1) y_stream.write(after);
    }
    if (++fold == FOLD) {
      fold = 0;
      if (column * KERNEL_W + inner_x == WIDTH - 1) {
        column = 0;
        inner_x = 0;
        if (++inner_y == KERNEL_H) {
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
