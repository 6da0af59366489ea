// Concatenation of channels: the beats of a pixel of a, then those of b.
#ifndef MUXFLOW_CONCAT_HPP
#define MUXFLOW_CONCAT_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam PIXELS          pixels in a frame
/// \tparam A_FOLD, B_FOLD  beats of a pixel of a and of b
/// Invariant: step i sends beat i mod (A_FOLD + B_FOLD) of a pixel, the first A_FOLD of them from a.
template <int PIXELS, int A_FOLD, int B_FOLD, class A, class B, class Y>
void concat(stream<A>& a_stream, stream<B>& b_stream, stream<Y>& y_stream) {
  static_assert(A::LANES == Y::LANES && B::LANES == Y::LANES, "a concatenation keeps the lanes");
  int fold = 0;
  for (long step = 0; step < long(PIXELS) * (A_FOLD + B_FOLD); ++step) {
#pragma HLS pipeline II=1
    Y y;
    if (fold < A_FOLD) {
      const A a = a_stream.read();
      for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
        y.set(lane, a.get(lane));
      }
    } else {
      const B b = b_stream.read();
      for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
        y.set(lane, b.get(lane));
      }
    }
    y_stream.write(y);
    if (++fold == A_FOLD + B_FOLD) fold = 0;
  }
}

}  // namespace muxflow

#endif
