// Decimation: the form of a sliding window of one kernel position without padding; every stride-th pixel passes.
#ifndef MUXFLOW_DECIMATE_HPP
#define MUXFLOW_DECIMATE_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// Which places of an axis are kept: the first one, and every STRIDE-th from there.
template <int SIZE, int STRIDE> struct Strided {
  Counter<SIZE> at;
  Counter<STRIDE> skipped;
  bool here() const {
#pragma HLS inline
    return skipped == 0;
  }
  /// Steps on; tells whether the axis came to its end.
  bool next() {
#pragma HLS inline
    skipped.next();
    const bool round = at.next();
    if (round) skipped = Counter<STRIDE>();
    return round;
  }
};

/// \tparam DEPTH, HEIGHT, WIDTH  input map
/// \tparam FOLD                  beats of a pixel
/// \tparam STRIDE_*              of each axis every STRIDE-th place is kept
///
/// Invariant: iteration i reads beat i of the map, which is beat `fold` of the pixel at (z, y, x), and sends it where that
/// pixel is kept.
template <int DEPTH, int HEIGHT, int WIDTH, int FOLD, int STRIDE_D, int STRIDE_H, int STRIDE_W, class X,
          class Y>
void decimate(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "decimation keeps the lanes");
  Counter<FOLD> fold;
  Strided<WIDTH, STRIDE_W> x;
  Strided<HEIGHT, STRIDE_H> y;
  Strided<DEPTH, STRIDE_D> z;
  for (long iteration = 0; iteration < long(DEPTH) * HEIGHT * WIDTH * FOLD; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    const X value = x_stream.read();
    if (x.here() && y.here() && z.here()) {
      Y kept;
      for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
        kept.set(lane, value.get(lane));
      }
      y_stream.write(kept);
    }
    if (fold.next() && x.next() && y.next()) z.next();
  }
}

}  // namespace muxflow

#endif
