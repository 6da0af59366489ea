// Shift and clip: bit-shift normalisation.
#ifndef MUXFLOW_SHIFT_CLIP_HPP
#define MUXFLOW_SHIFT_CLIP_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// y = clip((x + bias) >> shift, LOWEST, HIGHEST): bit-shift normalisation; bias[fold][lane], one shift for all.
/// \tparam SUM_BITS  bits of x + bias
/// Invariant: step i maps beat i, whose channels are those of fold i mod CHANNEL_FOLD.
template <int PIXELS, int CHANNEL_FOLD, int SHIFT, int LOWEST, int HIGHEST, int SUM_BITS, class T, class X, class Y>
void shift_clip(const T (&bias)[CHANNEL_FOLD][X::LANES], stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  typedef typename Integer<SUM_BITS, true>::type Sum;
  int fold = 0;
  for (long step = 0; step < long(PIXELS) * CHANNEL_FOLD; ++step) {
#pragma HLS pipeline II=1
    const X x = x_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      Sum sum = x.get(lane);
      sum += bias[fold][lane];
      sum >>= SHIFT;
      y.set(lane, sum < LOWEST ? Sum(LOWEST) : sum > HIGHEST ? Sum(HIGHEST) : sum);
    }
    y_stream.write(y);
    if (++fold == CHANNEL_FOLD) fold = 0;
  }
}

}  // namespace muxflow

#endif
