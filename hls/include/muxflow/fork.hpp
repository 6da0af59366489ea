// Fork: one stream goes to several readers.
#ifndef MUXFLOW_FORK_HPP
#define MUXFLOW_FORK_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam BEATS  beats in a frame
/// Invariant: after step i every output has received beats 0..i.
template <int BEATS, class X> void fork(stream<X>& x, stream<X>& a, stream<X>& b) {
  for (long step = 0; step < BEATS; ++step) {
#pragma HLS pipeline II=1
    const X value = x.read();
    a.write(value);
    b.write(value);
  }
}

/// Three readers.
template <int BEATS, class X> void fork(stream<X>& x, stream<X>& a, stream<X>& b, stream<X>& c) {
  for (long step = 0; step < BEATS; ++step) {
#pragma HLS pipeline II=1
    const X value = x.read();
    a.write(value);
    b.write(value);
    c.write(value);
  }
}

}  // namespace muxflow

#endif
