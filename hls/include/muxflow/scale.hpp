// Scale: an integer factor for each channel.
#ifndef MUXFLOW_SCALE_HPP
#define MUXFLOW_SCALE_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// y = x * table[fold][lane], one integer factor a channel.
/// Invariant: step i maps beat i, whose channels are those of fold i mod CHANNEL_FOLD.
template <int PIXELS, int CHANNEL_FOLD, class T, class X, class Y>
void scale(const T (&table)[CHANNEL_FOLD][X::LANES], stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS array_reshape variable=table complete dim=2
  int fold = 0;
  for (long step = 0; step < long(PIXELS) * CHANNEL_FOLD; ++step) {
#pragma HLS pipeline II=1
    const X x = x_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      const typename Y::element wide = x.get(lane);
      y.set(lane, wide * table[fold][lane]);
    }
    y_stream.write(y);
    if (++fold == CHANNEL_FOLD) fold = 0;
  }
}

}  // namespace muxflow

#endif
