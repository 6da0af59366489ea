// Weight source: a read-only memory that plays its tiles again for every vector.
#ifndef MUXFLOW_ROM_WEIGHTS_HPP
#define MUXFLOW_ROM_WEIGHTS_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam REPEATS  how often the matrix is sent in a frame
/// \tparam TILES    beats of one matrix
///
/// Invariant: step i sends tile i mod TILES.
template <int REPEATS, int TILES, class T, class W>
void rom_weights(const T (&table)[TILES][W::LANES], stream<W>& w_stream) {
#pragma HLS array_reshape variable=table complete dim=2
  int tile = 0;
  for (long step = 0; step < long(REPEATS) * TILES; ++step) {
#pragma HLS pipeline II=1
    W w;
    for (int lane = 0; lane < W::LANES; ++lane) {
#pragma HLS unroll
      w.set(lane, table[tile][lane]);
    }
    w_stream.write(w);
    if (++tile == TILES) tile = 0;
  }
}

}  // namespace muxflow

#endif
