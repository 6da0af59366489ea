// The maximum or sum of elements that come side by side.
#ifndef MUXFLOW_POOLED_HPP
#define MUXFLOW_POOLED_HPP

#include "muxflow/types.hpp"

namespace muxflow {
namespace detail {

/// The maximum or sum of PIXELS lanes of a beat that lie APART from each other, from lane `first` on, as a tree.
template <bool SUM, class E, class X, int APART, int PIXELS> struct Pixels {
  static E of(const X& x, int first) {
#pragma HLS inline
    const E a = Pixels<SUM, E, X, APART, (PIXELS + 1) / 2>::of(x, first);
    const E b = Pixels<SUM, E, X, APART, PIXELS / 2>::of(x, first + (PIXELS + 1) / 2 * APART);
    return SUM ? E(a + b) : choose(a > b, a, b);
  }
};
template <bool SUM, class E, class X, int APART> struct Pixels<SUM, E, X, APART, 1> {
  static E of(const X& x, int first) {
#pragma HLS inline
    return x.get(first);
  }
};

}  // namespace detail
}  // namespace muxflow

#endif
