// Width converter: the same elements in the same order, with other lanes.
#ifndef MUXFLOW_WIDTH_CONVERTER_HPP
#define MUXFLOW_WIDTH_CONVERTER_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// Gathers FACTOR narrow beats into a wide one.
/// \tparam BEATS  wide beats in a frame
/// \tparam FACTOR narrow beats in a wide one
/// Invariant: `wide` holds the first `part` narrow beats of the next wide one.
template <int BEATS, int FACTOR, class X, class Y> void widen(stream<X>& x_stream, stream<Y>& y_stream) {
  static_assert(Y::LANES == FACTOR * X::LANES, "the wide stream must have FACTOR times the lanes");
  Y wide;
  int part = 0;
  for (long step = 0; step < long(BEATS) * FACTOR; ++step) {
#pragma HLS pipeline II=1
    wide.push(x_stream.read(), part);
    if (++part == FACTOR) {
      part = 0;
      y_stream.write(wide);
    }
  }
}

/// Spreads a wide beat over FACTOR narrow ones.
/// \tparam BEATS  wide beats in a frame
/// Invariant: `wide` is the last wide beat read, and `part` of its narrow beats have been sent.
template <int BEATS, int FACTOR, class X, class Y> void narrow(stream<X>& x_stream, stream<Y>& y_stream) {
  static_assert(X::LANES == FACTOR * Y::LANES, "the wide stream must have FACTOR times the lanes");
  X wide;
  int part = 0;
  for (long step = 0; step < long(BEATS) * FACTOR; ++step) {
#pragma HLS pipeline II=1
    if (part == 0) wide = x_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      y.set(lane, wide.get(part * Y::LANES + lane));
    }
    y_stream.write(y);
    if (++part == FACTOR) part = 0;
  }
}

}  // namespace muxflow

#endif
