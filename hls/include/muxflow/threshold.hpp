// Thresholds: an activation quantizer with all the affine arithmetic before it, as integer comparisons.
#ifndef MUXFLOW_THRESHOLD_HPP
#define MUXFLOW_THRESHOLD_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam PIXELS  groups of CHANNEL_FOLD beats in a frame
/// \tparam STEPS   thresholds of a channel
/// \tparam BASE    code below all thresholds
///
/// table[fold][step * LANES + lane] is the step-th threshold of that channel, falling[fold][lane] says that its code
/// falls as the input rises: code = BASE + count, or BASE + STEPS - count, with count = how many thresholds <= x.
///
/// Invariant: step i of the loop maps beat i, whose channels are those of fold i mod CHANNEL_FOLD.
template <int PIXELS, int CHANNEL_FOLD, int STEPS, int BASE, class T, class F, class X, class Y>
void threshold(const T (&table)[CHANNEL_FOLD][STEPS * X::LANES], const F (&falling)[CHANNEL_FOLD][X::LANES],
               stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "thresholds keep the lanes");
  int fold = 0;
  for (long step = 0; step < long(PIXELS) * CHANNEL_FOLD; ++step) {
#pragma HLS pipeline II=1
    const X x = x_stream.read();
    short count[X::LANES];
#pragma HLS array_partition variable=count complete
    for (int lane = 0; lane < X::LANES; ++lane) {
#pragma HLS unroll
      count[lane] = 0;
    }
    for (int k = 0; k < STEPS; ++k) {
#pragma HLS unroll
      for (int lane = 0; lane < X::LANES; ++lane) {
#pragma HLS unroll
        count[lane] += T(x.get(lane)) >= table[fold][k * X::LANES + lane] ? 1 : 0;
      }
    }
    Y y;
    for (int lane = 0; lane < X::LANES; ++lane) {
#pragma HLS unroll
      y.set(lane, BASE + (falling[fold][lane] ? STEPS - count[lane] : count[lane]));
    }
    y_stream.write(y);
    if (++fold == CHANNEL_FOLD) fold = 0;
  }
}

}  // namespace muxflow

#endif
