// What FINN's npy2apintstream.hpp needs of finn-hlslib's header of this name: arrays as words, element 0 lowest.
#ifndef MUXFLOW_FINN_FLATTEN_HPP
#define MUXFLOW_FINN_FLATTEN_HPP

#include <ap_int.h>
#include <cstddef>

template <class T> constexpr std::size_t width_v = T::width;

template <class T, std::size_t N> ap_uint<T::width * N> flatten(const T (&elements)[N]) {
  ap_uint<T::width * N> word;
  for (std::size_t i = 0; i < N; ++i) {
    word.range(int((i + 1) * T::width) - 1, int(i * T::width)) = elements[i].range(T::width - 1, 0);
  }
  return word;
}

template <class T, std::size_t N, int BITS> void unflatten(T (&elements)[N], const ap_uint<BITS>& word) {
  for (std::size_t i = 0; i < N; ++i) {
    elements[i].range(T::width - 1, 0) = word.range(int((i + 1) * T::width) - 1, int(i * T::width));
  }
}

#endif
