// Thermometer encoding: each pixel becomes several coarse codes with thresholds that lie a step apart.
#ifndef MUXFLOW_THERMOMETER_ENCODE_HPP
#define MUXFLOW_THERMOMETER_ENCODE_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// y = min((x + STEP * (CODES - 1 - i)) / (STEP * CODES), TOP) for code i of a pixel.
/// \tparam BEATS  beats of the input in a frame
/// \tparam CODES  codes of a pixel
/// \tparam FOLD   beats that a beat of the input becomes
/// Invariant: iteration i sends part i mod FOLD of the codes of the pixels that the first iteration of that FOLD read;
/// passed is STEP times the codes sent before.
template <long BEATS, int CODES, int STEP, int TOP, int FOLD, class X, class Y>
void thermometer_encode(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES * CODES == Y::LANES * FOLD, "each pixel becomes CODES codes");
  const int PART = CODES / FOLD;  // codes of a pixel in a beat
  typedef typename Integer<13, false>::type Sum;  // 255 * 15 + 2 * 255 at most
  Counter<FOLD> fold;
  typename Counter<STEP * CODES + 1>::type passed = 0;
  X x;
  for (long iteration = 0; iteration < BEATS * FOLD; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    if (fold == 0) x = x_stream.read();
    Y y;
    for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
      // Thresholds grow with the code's number, so that no sum is negative.
      Sum least = passed;
      least += STEP * (lane % PART);
      Sum value = x.get(lane / PART);
      value += STEP * (CODES - 1);
      typename Y::element code = 0;
      for (int level = 1; level <= TOP; ++level) {
#pragma HLS unroll
        least += STEP * CODES;
        code = choose(value >= least, typename Y::element(level), code);
      }
      y.set(lane, code);
    }
    y_stream.write(y);
    passed += STEP * PART;
    if (fold.next()) passed = 0;
  }
}

}  // namespace muxflow

#endif
