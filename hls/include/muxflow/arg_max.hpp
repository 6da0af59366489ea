// Arg-max: the index of the largest logit; the first one wins a tie.
#ifndef MUXFLOW_ARG_MAX_HPP
#define MUXFLOW_ARG_MAX_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam VECTORS  vectors in a frame
/// \tparam CLASSES  elements of a vector, one a beat
/// Invariant: `best` is the largest of the first `index` elements and `where` its first position.
template <int VECTORS, int CLASSES, class X, class Y> void arg_max(stream<X>& x_stream, stream<Y>& y_stream) {
  static_assert(X::LANES == 1 && Y::LANES == 1, "arg-max reads one element a beat");
  typename X::element best = 0;
  int where = 0;
  int index = 0;
  for (long step = 0; step < long(VECTORS) * CLASSES; ++step) {
#pragma HLS pipeline II=1
    const typename X::element value = x_stream.read().get(0);
    if (index == 0 || value > best) {
      best = value;
      where = index;
    }
    if (++index == CLASSES) {
      index = 0;
      Y y;
      y.set(0, where);
      y_stream.write(y);
    }
  }
}

}  // namespace muxflow

#endif
