// Window pool: maximum or sum over windows that a sliding window has laid out.
#ifndef MUXFLOW_WINDOW_POOL_HPP
#define MUXFLOW_WINDOW_POOL_HPP

#include "muxflow/pool.hpp"

namespace muxflow {

/// Pool over windows that a sliding window has laid out, one channel block after the other.
/// \tparam WINDOWS  windows of one block of lanes in a frame
/// \tparam SIZE     pixels of a window
/// Invariant: `held` is the pool of the first `pixel` pixels of the present window.
template <int WINDOWS, int SIZE, bool SUM, class X, class Y>
void window_pool(stream<X>& x_stream, stream<Y>& y_stream) {
  static_assert(X::LANES == Y::LANES, "a pool keeps the lanes");
  Y held;
  int pixel = 0;
  for (long step = 0; step < long(WINDOWS) * SIZE; ++step) {
#pragma HLS pipeline II=1
    held = detail::pool_step<SUM>(pixel == 0, held, x_stream.read());
    if (++pixel == SIZE) {
      pixel = 0;
      y_stream.write(held);
    }
  }
}

}  // namespace muxflow

#endif
