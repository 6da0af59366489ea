// Channel select: one bit a channel from the whole frame of x, the attention of a MUX residual block.
#ifndef MUXFLOW_CHANNEL_SELECT_HPP
#define MUXFLOW_CHANNEL_SELECT_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam PIXELS         pixels in a frame
/// \tparam X_FOLD         beats of a pixel
/// \tparam FOLD           beats of the channels that are judged (the first ones)
/// \tparam SUM            true: the sum over the frame is judged, false: the maximum
/// \tparam STATISTIC_BITS bits of the statistic
///
/// Bit c = statistic of channel c >= table[fold][lane], sent with the last pixel.
/// Invariant: before step i, state[fold] is the statistic of the pixels before the present one.
template <int PIXELS, int X_FOLD, int FOLD, bool SUM, int STATISTIC_BITS, class T, class X, class S>
void channel_select(const T (&table)[FOLD][X::LANES], stream<X>& x_stream, stream<S>& s_stream) {
  static_assert(X::LANES == S::LANES, "channel select keeps the lanes");
  static_assert(FOLD <= X_FOLD, "only channels of x can be judged");
#pragma HLS array_reshape variable=table complete dim=2
  typedef Beat<STATISTIC_BITS, false, X::LANES> Statistic;
  Statistic state[X_FOLD];
  int fold = 0;
  int pixel = 0;
  for (long step = 0; step < long(PIXELS) * X_FOLD; ++step) {
#pragma HLS pipeline II=1
    const X x = x_stream.read();
    Statistic now = state[fold];
    for (int lane = 0; lane < X::LANES; ++lane) {
#pragma HLS unroll
      const typename Statistic::element value = x.get(lane);
      const typename Statistic::element before = now.get(lane);
      if (pixel == 0) {
        now.set(lane, value);
      } else if (SUM) {
        now.set(lane, before + value);
      } else if (value > before) {
        now.set(lane, value);
      }
    }
    state[fold] = now;
    if (pixel == PIXELS - 1 && fold < FOLD) {
      S s;
      for (int lane = 0; lane < X::LANES; ++lane) {
#pragma HLS unroll
        s.set(lane, T(now.get(lane)) >= table[fold][lane] ? 1 : 0);
      }
      s_stream.write(s);
    }
    if (++fold == X_FOLD) {
      fold = 0;
      ++pixel;
    }
  }
}

}  // namespace muxflow

#endif
