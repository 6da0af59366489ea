// What is loaded at run time: words of 64 bits that travel from one memory to the next, and beats made of them.
#ifndef MUXFLOW_LOAD_HPP
#define MUXFLOW_LOAD_HPP

#include "muxflow/stream.hpp"
#ifdef MUXFLOW_NATIVE
#include "muxflow/packed.hpp"
#endif

namespace muxflow {

/// A word between two memories. The first one takes AXI words; the last one gives a single one, at the end of a load.
typedef Constant<Beat<64, false, 1> > LoadBeat;
typedef LoadBeat::element LoadWord;

/// How a word stands in what a stream carries; `axi.hpp` has the same of AXI words.
template <class T> struct LoadPort;
template <> struct LoadPort<LoadBeat> {
  static LoadWord get(const LoadBeat& beat) {
#pragma HLS inline
    return beat.get(0);
  }
  static LoadBeat of(const LoadWord& word) {
#pragma HLS inline
    LoadBeat beat;
    beat.set(0, word);
    return beat;
  }
};

/// A checksum with one more word in it: it depends on the words' order, and no adder's carry is waited for.
inline LoadWord mixed(const LoadWord& sum, const LoadWord& word) {
#pragma HLS inline
  const LoadWord turned = (sum << 1) | (sum >> 63);
  return turned ^ word;
}

/// A number from 0 to N, without a constructor: it may stand in what a process keeps from frame to frame.
template <long N> struct Number {
#if defined(MUXFLOW_NATIVE) || defined(MUXFLOW_CSIM)
  typedef long type;
#else
  typedef ap_uint<BitLength<N>::value> type;
#endif
};

/// A beat that is made of words, its lowest bits in the first.
template <class W> struct LoadedBeat {
#ifdef MUXFLOW_NATIVE
  static const int BITS = W::BIPOLAR ? 1 : W::BITS;
  static const int PARTS = (BITS * W::LANES + 63) / 64;
  detail::Packed<64 * PARTS> bits;
  void push(const LoadWord& word, long part) { bits.words[part] = word; }
  void get(W& w) const {
    typedef typename W::element E;
    for (int lane = 0; lane < W::LANES; ++lane) {
      const uint64_t up = bits.get(lane * BITS, BITS) << (64 - BITS);
      const int64_t down = static_cast<int64_t>(up) >> (64 - BITS);
      w.set(lane, W::BIPOLAR ? (down ? 1 : -1) : std::is_signed<E>::value ? E(down) : E(up >> (64 - BITS)));
    }
  }
#elif defined(MUXFLOW_CSIM)
  static const int PARTS = sizeof(W) / 8;
  W beat;
  void push(const LoadWord& word, long part) { beat.word.words[part] = word.to_uint64(); }
  void get(W& w) const { w = beat; }
#else
  static const int BITS = W::BIPOLAR ? 1 : W::BITS;
  static const int PARTS = (BITS * W::LANES + 63) / 64;
  ap_uint<64 * PARTS> bits;
  template <class P> void push(const LoadWord& word, P) {
#pragma HLS inline
    if (PARTS > 1) bits >>= 64;
    bits.range(64 * PARTS - 1, 64 * PARTS - 64) = word;
  }
  void get(W& w) const {
#pragma HLS inline
    w.word = bits;
  }
#endif
};

}  // namespace muxflow

#endif
