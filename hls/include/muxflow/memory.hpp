// Memories of a kernel, where the plan wants them, with what no tool sees by itself: how long a place is left alone.
//
// A tool finds the iterations between a write and the next read of an address only where the address is a linear function
// of a loop's variable. One that comes round is not; the tool then assumes the next iteration, and read, change and write
// do not fit one cycle. So few places are registers, and of a memory the true distance is stated.
#ifndef MUXFLOW_MEMORY_HPP
#define MUXFLOW_MEMORY_HPP

#include "muxflow/types.hpp"

namespace muxflow {

#ifdef MUXFLOW_NATIVE

template <class V, int PLACES, int DISTANCE, bool BLOCK> struct Places {
  V data[PLACES];
  V& operator[](int place) { return data[place]; }
};
template <class V, int PLACES, bool BLOCK> struct Lasting : Places<V, PLACES, 0, BLOCK> {
  void placed() {}
};
template <class V, int PLACES, bool BLOCK> struct Rows : Lasting<V, PLACES, BLOCK> {};

template <class V, int LENGTH, bool BLOCK> struct Circle {
  V data[LENGTH];
  int place;
  Circle() : place(0) {}
  V& here() { return data[place]; }
  void next() {
    if (++place == LENGTH) place = 0;
  }
};

#else

namespace detail {
enum Where { REGISTERS, LUT_RAM, BLOCK_RAM };
/// Iterations in which a memory surely is read, the value changed and written: what the pragmas below state.
const int FAR = 8;
/// Values that a shift register of one LUT a bit holds.
const int SHIFTED = 32;

/// PLACES values, each read again FAR iterations after it was written or later, in registers at any time.
template <class V, int PLACES, Where WHERE> struct Storage {
  V data[PLACES];
  Storage() {
#pragma HLS inline
#pragma HLS array_partition variable=data complete
  }
};
template <class V, int PLACES> struct Storage<V, PLACES, LUT_RAM> {
  V data[PLACES];
  Storage() {
#pragma HLS inline
#pragma HLS bind_storage variable=data type=ram_s2p impl=lutram
#pragma HLS dependence variable=data inter distance=8 true
  }
};
template <class V, int PLACES> struct Storage<V, PLACES, BLOCK_RAM> {
  V data[PLACES];
  Storage() {
#pragma HLS inline
#pragma HLS bind_storage variable=data type=ram_s2p impl=bram
#pragma HLS dependence variable=data inter distance=8 true
  }
};
}  // namespace detail

/// A memory of PLACES values.
/// \tparam DISTANCE  iterations from the write of a place to its next read, at least
/// \tparam BLOCK     whether it is planned in block RAM
template <class V, int PLACES, int DISTANCE, bool BLOCK> struct Places {
  detail::Storage<V, PLACES,
                  DISTANCE < detail::FAR ? detail::REGISTERS : BLOCK ? detail::BLOCK_RAM : detail::LUT_RAM> storage;
  V& operator[](int place) {
#pragma HLS inline
    return storage.data[place];
  }
};

/// A memory in which no iteration, nor the next few, reads what it writes: the caller sees to that. It has no constructor, so
/// that it can be static and last from frame to frame: `placed` says where it is planned.
template <class V, int PLACES, bool BLOCK> struct Lasting {
  V data[PLACES];
  void placed() {
#pragma HLS inline
#pragma HLS bind_storage variable=data type=ram_s2p impl=lutram
#pragma HLS dependence variable=data inter false
#pragma HLS dependence variable=data intra false
  }
  V& operator[](int place) {
#pragma HLS inline
    return data[place];
  }
};
template <class V, int PLACES> struct Lasting<V, PLACES, true> {
  V data[PLACES];
  void placed() {
#pragma HLS inline
#pragma HLS bind_storage variable=data type=ram_s2p impl=bram
#pragma HLS dependence variable=data inter false
#pragma HLS dependence variable=data intra false
  }
  V& operator[](int place) {
#pragma HLS inline
    return data[place];
  }
};

/// The same, of one frame.
template <class V, int PLACES, bool BLOCK> struct Rows : Lasting<V, PLACES, BLOCK> {
  Rows() {
#pragma HLS inline
    this->placed();
  }
};

namespace detail {
/// A few values: a shift register, which needs neither address nor multiplexer.
template <class V, int LENGTH, Where WHERE> struct Turning {
  Storage<V, LENGTH, WHERE> storage;
  V& here() {
#pragma HLS inline
    return storage.data[LENGTH - 1];
  }
  void next() {
#pragma HLS inline
    const V passed = storage.data[LENGTH - 1];
    for (int place = LENGTH - 1; place > 0; --place) {
#pragma HLS unroll
      storage.data[place] = storage.data[place - 1];
    }
    storage.data[0] = passed;
  }
};
template <class V, int LENGTH, Where WHERE> struct Addressed {
  Storage<V, LENGTH, WHERE> storage;
  Counter<LENGTH> place;
  V& here() {
#pragma HLS inline
    return storage.data[place];
  }
  void next() {
#pragma HLS inline
    place.next();
  }
};
template <class V, int LENGTH> struct Turning<V, LENGTH, LUT_RAM> : Addressed<V, LENGTH, LUT_RAM> {};
template <class V, int LENGTH> struct Turning<V, LENGTH, BLOCK_RAM> : Addressed<V, LENGTH, BLOCK_RAM> {};
}  // namespace detail

/// LENGTH values that are visited in turn: `here` is the one of LENGTH steps ago. At most one step an iteration.
/// \tparam BLOCK  whether it is planned in block RAM
template <class V, int LENGTH, bool BLOCK>
struct Circle : detail::Turning<V, LENGTH,
                                LENGTH < detail::FAR || (!BLOCK && LENGTH <= detail::SHIFTED) ? detail::REGISTERS
                                : BLOCK                                                       ? detail::BLOCK_RAM
                                                                                              : detail::LUT_RAM> {};

#endif

/// What was given LENGTH steps ago. At most one step an iteration.
/// \tparam BLOCK  whether it is planned in block RAM
template <class V, int LENGTH, bool BLOCK> struct Delay {
  Circle<V, LENGTH, BLOCK> circle;
  V step(const V& given) {
#pragma HLS inline
    const V before = circle.here();
    circle.here() = given;
    circle.next();
    return before;
  }
};
template <class V, bool BLOCK> struct Delay<V, 0, BLOCK> {
  V step(const V& given) {
#pragma HLS inline
    return given;
  }
};

}  // namespace muxflow

#endif
