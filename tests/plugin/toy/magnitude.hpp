// Magnitude with a limit.
#ifndef MUXFLOW_MAGNITUDE_HPP
#define MUXFLOW_MAGNITUDE_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// y = min(|x|, LIMIT).
/// \tparam BEATS  beats in a frame
template <int BEATS, int LIMIT, class X, class Y> void magnitude(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  for (long step = 0; step < long(BEATS); ++step) {
#pragma HLS pipeline II=1 style=flp
    const X x = x_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      const Int value = x.get(lane);
      const Int size = choose(value < 0, Int(-value), value);
      y.set(lane, choose(size < LIMIT, size, Int(LIMIT)));
    }
    y_stream.write(y);
  }
}

}  // namespace muxflow

#endif
