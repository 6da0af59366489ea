// OR join: bitwise OR of two streams of unsigned codes.
#ifndef MUXFLOW_OR_JOIN_HPP
#define MUXFLOW_OR_JOIN_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// y = a | b on unsigned codes.
/// Invariant: step i joins beat i of both streams.
template <int BEATS, class A, class B, class Y>
void or_join(stream<A>& a_stream, stream<B>& b_stream, stream<Y>& y_stream) {
  for (long step = 0; step < BEATS; ++step) {
#pragma HLS pipeline II=1
    const A a = a_stream.read();
    const B b = b_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      y.set(lane, a.get(lane) | b.get(lane));
    }
    y_stream.write(y);
  }
}

}  // namespace muxflow

#endif
