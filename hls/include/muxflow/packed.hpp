// Bits of a beat in the reference simulation: packed as in hardware, in words that a processor shifts one at a time.
// Never seen by a synthesis tool.
#ifndef MUXFLOW_PACKED_HPP
#define MUXFLOW_PACKED_HPP

#include <cstdint>

namespace muxflow {
namespace detail {

/// WIDTH bits, the lowest in the lowest bits of the first word.
template <int WIDTH> struct Packed {
  uint64_t words[(WIDTH + 63) / 64];

  bool operator[](int bit) const { return words[bit / 64] >> bit % 64 & 1; }
  /// `bits` bits, 1 to 64, from bit `low`; what is above them in the result is not theirs.
  uint64_t get(int low, int bits) const {
    const int shift = low % 64;
    const uint64_t value = words[low / 64] >> shift;
    return shift + bits > 64 ? value | words[low / 64 + 1] << (64 - shift) : value;
  }
  void set(int low, int bits, uint64_t value) {
    const int shift = low % 64;
    const uint64_t mask = ~uint64_t(0) >> (64 - bits);
    uint64_t& word = words[low / 64];
    value &= mask;
    word = (word & ~(mask << shift)) | value << shift;
    if (shift + bits > 64) {
      uint64_t& next = words[low / 64 + 1];
      next = (next & ~(mask >> (64 - shift))) | value >> (64 - shift);
    }
  }
  /// Copies COUNT bits of another.
  template <int COUNT, int OTHER> void copy(int low, const Packed<OTHER>& from, int from_low) {
    for (int done = 0; done < COUNT; done += 64) {
      const int bits = COUNT - done < 64 ? COUNT - done : 64;
      set(low + done, bits, from.get(from_low + done, bits));
    }
  }
};

/// Lanes of WIDTH bits each.
template <int WIDTH, int LANES_> struct PackedLanes {
  static const int LANES = LANES_;
  Packed<WIDTH * LANES_> word;
  template <class N> void push(const N& narrow, int part) {
    word.template copy<WIDTH * N::LANES>(part * WIDTH * N::LANES, narrow.word, 0);
  }
  template <class N> void pop(N& narrow, int part) { take(narrow, part); }
  template <class N> void take(N& narrow, int part) const {
    narrow.word.template copy<WIDTH * N::LANES>(0, word, part * WIDTH * N::LANES);
  }
  template <class N> void put(const N& narrow, int part) { push(narrow, part); }
};

}  // namespace detail

}  // namespace muxflow

#endif
