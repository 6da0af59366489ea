// Integer and beat types: one source, three builds.
//
//   MUXFLOW_NATIVE defined      native C++ integers: the fast C simulation. The interval analysis that chose every
//                               width guarantees that no value leaves its type, so nothing can wrap.
//   otherwise                   ap_int / ap_uint: synthesis, the vendor's simulation and our reference simulation.
#ifndef MUXFLOW_TYPES_HPP
#define MUXFLOW_TYPES_HPP

#ifdef MUXFLOW_NATIVE
#include <cstdint>
#else
#include <ap_int.h>
#endif

namespace muxflow {

#ifdef MUXFLOW_NATIVE

template <int BYTES, bool SIGNED> struct NativeInteger;
template <> struct NativeInteger<1, true> { typedef int8_t type; };
template <> struct NativeInteger<1, false> { typedef uint8_t type; };
template <> struct NativeInteger<2, true> { typedef int16_t type; };
template <> struct NativeInteger<2, false> { typedef uint16_t type; };
template <> struct NativeInteger<4, true> { typedef int32_t type; };
template <> struct NativeInteger<4, false> { typedef uint32_t type; };
template <> struct NativeInteger<8, true> { typedef int64_t type; };
template <> struct NativeInteger<8, false> { typedef uint64_t type; };

template <int BITS, bool SIGNED> struct Integer {
  static_assert(BITS >= 1 && BITS <= 64, "native integers hold 1 to 64 bits");
  typedef typename NativeInteger<(BITS <= 8 ? 1 : BITS <= 16 ? 2 : BITS <= 32 ? 4 : 8), SIGNED>::type type;
};

// LANES elements that travel in one cycle.
template <int BITS_, bool SIGNED, int LANES_> struct Beat {
  static const int BITS = BITS_;
  static const bool BIPOLAR = false;
  static const int LANES = LANES_;
  typedef typename Integer<BITS_, SIGNED>::type element;
  element data[LANES_];
  element get(int lane) const { return data[lane]; }
  void set(int lane, element value) { data[lane] = value; }
  // Appends a narrow beat: after LANES / N::LANES of them the first one stands in the lowest lanes.
  template <class N> void push(const N& narrow, int part) {
    for (int lane = 0; lane < N::LANES; ++lane) data[part * N::LANES + lane] = narrow.data[lane];
  }
};

// Elements that are -1 or +1; simulated as they are.
template <int LANES_> struct BipolarBeat : Beat<2, true, LANES_> {
  static const bool BIPOLAR = true;
};

// An operand in the type of its result, so that C++'s promotion to 32 bits and its mixing of signs cannot wrap.
template <class To, class E> To operand(E value) { return static_cast<To>(value); }

#else

// ap_int arithmetic is exact by itself.
template <class To, class E> E operand(E value) {
#pragma HLS inline
  return value;
}

template <int BITS, bool SIGNED> struct Integer;
template <int BITS> struct Integer<BITS, true> { typedef ap_int<BITS> type; };
template <int BITS> struct Integer<BITS, false> { typedef ap_uint<BITS> type; };

// LANES elements that travel in one cycle, packed into one word with lane 0 in the lowest bits; a single word needs
// no aggregation pragma, so its layout is the same in every tool version.
template <int BITS_, bool SIGNED, int LANES_> struct Beat {
  static const int BITS = BITS_;
  static const bool BIPOLAR = false;
  static const int LANES = LANES_;
  typedef typename Integer<BITS_, SIGNED>::type element;
  ap_uint<BITS_ * LANES_> word;
  element get(int lane) const {
#pragma HLS inline
    element value;
    value.range(BITS_ - 1, 0) = word.range((lane + 1) * BITS_ - 1, lane * BITS_);
    return value;
  }
  void set(int lane, element value) {
#pragma HLS inline
    word.range((lane + 1) * BITS_ - 1, lane * BITS_) = value.range(BITS_ - 1, 0);
  }
  // Appends a narrow beat: after LANES / N::LANES of them the first one stands in the lowest lanes. A shift needs no
  // multiplexer for `part`.
  template <class N> void push(const N& narrow, int) {
#pragma HLS inline
    word >>= BITS_ * N::LANES;
    word.range(BITS_ * LANES_ - 1, BITS_ * (LANES_ - N::LANES)) = narrow.word;
  }
};

// Elements that are -1 or +1, one bit each: set for +1. BITS is the width of an element outside the beat.
template <int LANES_> struct BipolarBeat {
  static const int BITS = 2;
  static const int LANES = LANES_;
  static const bool BIPOLAR = true;
  typedef ap_int<2> element;
  ap_uint<LANES_> word;
  element get(int lane) const {
#pragma HLS inline
    return word[lane] ? 1 : -1;
  }
  void set(int lane, element value) {
#pragma HLS inline
    word[lane] = value > 0;
  }
  template <class N> void push(const N& narrow, int) {
#pragma HLS inline
    word >>= N::LANES;
    word.range(LANES_ - 1, LANES_ - N::LANES) = narrow.word;
  }
};

#endif

// Element type of a constant table. A simulation reads plain integers, so that a table of a million weights is data
// for the compiler and not a million constructor calls; synthesis gets the exact width.
#ifdef __SYNTHESIS__
template <int BITS, bool SIGNED> struct TableElement { typedef typename Integer<BITS, SIGNED>::type type; };
#else
template <int BYTES, bool SIGNED> struct TableInteger;
template <> struct TableInteger<1, true> { typedef signed char type; };
template <> struct TableInteger<1, false> { typedef unsigned char type; };
template <> struct TableInteger<2, true> { typedef short type; };
template <> struct TableInteger<2, false> { typedef unsigned short type; };
template <> struct TableInteger<4, true> { typedef int type; };
template <> struct TableInteger<4, false> { typedef unsigned int type; };
template <> struct TableInteger<8, true> { typedef long long type; };
template <> struct TableInteger<8, false> { typedef unsigned long long type; };
template <int BITS, bool SIGNED> struct TableElement {
  typedef typename TableInteger<(BITS <= 8 ? 1 : BITS <= 16 ? 2 : BITS <= 32 ? 4 : 8), SIGNED>::type type;
};
#endif

}  // namespace muxflow

#endif
