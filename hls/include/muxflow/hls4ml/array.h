// Between the streams of hls4ml, one array of all channels a pixel, and beats of any number of lanes.
#ifndef MUXFLOW_HLS4ML_ARRAY_H
#define MUXFLOW_HLS4ML_ARRAY_H

#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {
/// Greatest common divisor; C++11 has none.
template <int A, int B> struct CommonDivisor { static const int value = CommonDivisor<B, A % B>::value; };
template <int A> struct CommonDivisor<A, 0> { static const int value = A; };
}  // namespace detail

/// \tparam ELEMENTS  elements of a frame
/// Invariant: `values` is the last array read, `array_lane` of its elements have been taken, and `y` holds the first
/// `beat_lane` elements of the next beat.
template <int ELEMENTS, class A, class Y> void array_to_beats(stream<A>& a_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(ELEMENTS % A::size == 0 && ELEMENTS % Y::LANES == 0, "arrays and beats must divide a frame");
  const int SIZE = A::size;
  const int CHUNK = detail::CommonDivisor<SIZE, Y::LANES>::value;
  typename A::value_type values[SIZE];
#pragma HLS array_partition variable=values complete
  Y y;
  int array_lane = 0;
  int beat_lane = 0;
  for (long step = 0; step < ELEMENTS / CHUNK; ++step) {
#pragma HLS pipeline II=1
    if (array_lane == 0) {
      const A array = a_stream.read();
      for (int lane = 0; lane < SIZE; ++lane) {
#pragma HLS unroll
        values[lane] = array[lane];
      }
    }
    for (int lane = 0; lane < CHUNK; ++lane) {
#pragma HLS unroll
      y.set(beat_lane + lane, values[array_lane + lane]);
    }
    array_lane = array_lane + CHUNK == SIZE ? 0 : array_lane + CHUNK;
    beat_lane += CHUNK;
    if (beat_lane == Y::LANES) {
      beat_lane = 0;
      y_stream.write(y);
    }
  }
}

/// \tparam ELEMENTS  elements of a frame
/// Invariant: `x` is the last beat read, `beat_lane` of its elements have been taken, and `values` holds the first
/// `array_lane` elements of the next array.
template <int ELEMENTS, class X, class A> void beats_to_array(stream<X>& x_stream, stream<A>& a_stream) {
#pragma HLS inline
  static_assert(ELEMENTS % A::size == 0 && ELEMENTS % X::LANES == 0, "arrays and beats must divide a frame");
  const int SIZE = A::size;
  const int CHUNK = detail::CommonDivisor<SIZE, X::LANES>::value;
  X x;
  typename A::value_type values[SIZE];
#pragma HLS array_partition variable=values complete
  int array_lane = 0;
  int beat_lane = 0;
  for (long step = 0; step < ELEMENTS / CHUNK; ++step) {
#pragma HLS pipeline II=1
    if (beat_lane == 0) x = x_stream.read();
    for (int lane = 0; lane < CHUNK; ++lane) {
#pragma HLS unroll
      values[array_lane + lane] = x.get(beat_lane + lane);
    }
    beat_lane = beat_lane + CHUNK == X::LANES ? 0 : beat_lane + CHUNK;
    array_lane += CHUNK;
    if (array_lane == SIZE) {
      array_lane = 0;
      A array;
      for (int lane = 0; lane < SIZE; ++lane) {
#pragma HLS unroll
        array[lane] = values[lane];
      }
      a_stream.write(array);
    }
  }
}

}  // namespace muxflow

#endif
