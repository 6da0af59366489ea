// Weight source: a memory that is filled over a stream at run time, and plays its tiles again for every vector.
#ifndef MUXFLOW_LOADED_WEIGHTS_HPP
#define MUXFLOW_LOADED_WEIGHTS_HPP

#include "muxflow/load.hpp"

namespace muxflow {

/// ROWS tiles in each of BANKS arrays, one array after the other; a tile is a beat W.
template <int BANKS_, int ROWS_, class W_> struct LoadedTable {
  typedef W_ W;
  static const int BANKS = BANKS_;
  static const int ROWS = ROWS_;
  static const int PARTS = LoadedBeat<W>::PARTS;
  static const long OWN = long(BANKS) * ROWS * PARTS;
  typedef W Data[BANKS][ROWS];
};

/// The source inside the process that reads it. All sources of a design stand in a chain: each takes its own words of what
/// is loaded and passes on the rest, so that none has an address.
///
/// \tparam REPEATS  how often the matrix is read in a frame
/// \tparam AFTER    words of the sources that follow this one
/// \tparam FIRST    whether it is the first of the chain
///
/// The first source keeps the checksum of all words of a load, and adds it to the last one, which is none of a memory.
/// Invariant: read i of a frame gives tile i mod TILES; before word i of a load, `state.place` is i and the first i / PARTS
/// tiles are those of this load.
template <int REPEATS, long AFTER, bool FIRST, class T> class LoadedReader {
 public:
  typedef typename T::W W;
  static const long BEATS = long(REPEATS) * T::BANKS * T::ROWS;

  /// What is kept from frame to frame, all 0 at first.
  struct State {
    bool whole;                               // whether a load has come to its end, and no other has begun
    typename Number<T::OWN + AFTER>::type place;  // words of the present load so far
    typename Number<T::PARTS>::type part;
    typename Number<T::ROWS>::type row;
    typename Number<T::BANKS>::type bank;
    LoadWord sum;                             // of the first source
    LoadedBeat<W> beat;
  };

  LoadedReader(typename T::Data& banks, State& state) : banks_(banks), state_(state) {
#pragma HLS inline
  }
  /// Takes what is loaded until a frame is there and the weights are whole; a frame waits for them.
  template <class X, class In, class Out> void begin(stream<X>& x_stream, stream<In>& in, stream<Out>& out) {
#pragma HLS inline
    bool serving = false;
    while (!serving) {
#pragma HLS pipeline II=1 style=flp
      if (state_.whole) await_either(in, x_stream);
      if (!state_.whole || !in.empty()) {
        take(LoadPort<In>::get(in.read()), out);
      } else {
        serving = !x_stream.empty();
      }
    }
  }
  W read() {
#pragma HLS inline
    const W w = banks_[bank_][row_];
    if (row_.next()) bank_.next();
    return w;
  }

 private:
  template <class Out> void take(const LoadWord& word, stream<Out>& out) {
#pragma HLS inline
    const bool last = state_.place == T::OWN + AFTER;
    if (state_.place < T::OWN) {
      state_.beat.push(word, state_.part);
      if (++state_.part == T::PARTS) {
        state_.part = 0;
        state_.beat.get(banks_[state_.bank][state_.row]);
        if (++state_.row == T::ROWS) {
          state_.row = 0;
          ++state_.bank;
        }
      }
    } else {
      out.write(LoadPort<Out>::of(FIRST && last ? LoadWord(word ^ state_.sum) : word));
    }
    if (FIRST) state_.sum = last ? LoadWord(0) : mixed(state_.sum, word);
    state_.whole = last;
    if (last) {
      state_.bank = 0;
      state_.place = 0;
    } else {
      ++state_.place;
    }
  }

  typename T::Data& banks_;
  State& state_;
  Counter<T::BANKS> bank_;
  Counter<T::ROWS> row_;
};

template <int REPEATS, long AFTER, bool FIRST, class T> struct BeatOf<LoadedReader<REPEATS, AFTER, FIRST, T> > {
  typedef typename T::W type;
};

}  // namespace muxflow

#endif
