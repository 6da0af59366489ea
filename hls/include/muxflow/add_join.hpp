// Add join: the sum of two streams.
#ifndef MUXFLOW_ADD_JOIN_HPP
#define MUXFLOW_ADD_JOIN_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// y = a + b.
/// \tparam BEATS  beats in a frame
/// Invariant: step i joins beat i of both streams.
template <int BEATS, class A, class B, class Y>
void add_join(stream<A>& a_stream, stream<B>& b_stream, stream<Y>& y_stream) {
  for (long step = 0; step < BEATS; ++step) {
#pragma HLS pipeline II=1
    const A a = a_stream.read();
    const B b = b_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      y.set(lane, operand<typename Y::element>(a.get(lane)) + operand<typename Y::element>(b.get(lane)));
    }
    y_stream.write(y);
  }
}

}  // namespace muxflow

#endif
