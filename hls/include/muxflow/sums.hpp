// Sums of many terms as trees, and products where the plan wants them.
#ifndef MUXFLOW_SUMS_HPP
#define MUXFLOW_SUMS_HPP

#include "muxflow/types.hpp"

namespace muxflow {
namespace detail {

#ifdef MUXFLOW_NATIVE

/// A product in the type of its result.
template <class To, bool DSP = false, class A, class B> To product(const A& a, const B& b) {
  To result = static_cast<To>(a);
  return result *= static_cast<To>(b);
}

#else

/// How many of N bits are set: a full adder for each three of them (two LUTs, whatever logic of two inputs makes each
/// bit), then a tree of adders.
template <int N> struct Ones {
  static const int LEFT = (N / 3 + 1) / 2 * 3;
  static ap_uint<BitLength<N>::value> count(const ap_uint<N>& bits) {
#pragma HLS inline
    const ap_uint<LEFT> left = bits.range(LEFT - 1, 0);
    const ap_uint<N - LEFT> right = bits.range(N - 1, LEFT);
    return Ones<LEFT>::count(left) + Ones<N - LEFT>::count(right);
  }
};
template <> struct Ones<1> {
  static ap_uint<1> count(const ap_uint<1>& bits) {
#pragma HLS inline
    return bits;
  }
};
template <> struct Ones<2> {
  static ap_uint<2> count(const ap_uint<2>& bits) {
#pragma HLS inline
    ap_uint<2> sum;
    sum[0] = bits[0] ^ bits[1];
    sum[1] = bits[0] & bits[1];
    return sum;
  }
};
template <> struct Ones<3> {
  static ap_uint<2> count(const ap_uint<3>& bits) {
#pragma HLS inline
    ap_uint<2> sum;
    sum[0] = bits[0] ^ bits[1] ^ bits[2];
    sum[1] = (bits[0] & bits[1]) | (bits[2] & (bits[0] | bits[1]));
    return sum;
  }
};

#ifdef MUXFLOW_CSIM
/// What terms of sums are computed in: the reference simulation adds plain integers, so that trees are loops; ap_int types
/// hold what is stored, sent and accumulated.
template <class E> using Term = long long;
template <int N> struct Flags {
  bool flag[N];
  bool& operator[](int i) { return flag[i]; }
};
template <int N> int ones(const Flags<N>& flags) {
  int count = 0;
  for (int i = 0; i < N; ++i) count += flags.flag[i];
  return count;
}
#else
template <class E> using Term = E;
template <int N> using Flags = ap_uint<N>;
template <int N> ap_uint<BitLength<N>::value> ones(const ap_uint<N>& flags) {
#pragma HLS inline
  return Ones<N>::count(flags);
}
#endif

/// An element's width and sign, and the signed type that holds it.
template <class E> struct ElementOf;
template <int WIDTH> struct ElementOf<ap_int<WIDTH> > {
  static const int BITS = WIDTH;
  static const bool SIGNED = true;
  typedef ap_int<WIDTH> with_sign;
};
template <int WIDTH> struct ElementOf<ap_uint<WIDTH> > {
  static const int BITS = WIDTH;
  static const bool SIGNED = false;
  typedef ap_int<WIDTH + 1> with_sign;
};

template <bool FIRST, class A, class B> struct Choice { typedef A type; };
template <class A, class B> struct Choice<false, A, B> { typedef B type; };

/// The sum of N terms: a balanced tree, every addition one bit wider than what it adds.
template <class E, int N> struct Tree {
  typedef typename Integer<ElementOf<E>::BITS + BitLength<N - 1>::value, ElementOf<E>::SIGNED>::type type;
  static const int LEFT = (N + 1) / 2;
  template <int TERMS> static type of(const E (&terms)[TERMS], int first = 0) {
#pragma HLS inline
    return Tree<E, LEFT>::of(terms, first) + Tree<E, N - LEFT>::of(terms, first + LEFT);
  }
};
template <class E> struct Tree<E, 1> {
  typedef E type;
  template <int TERMS> static E of(const E (&terms)[TERMS], int first = 0) {
#pragma HLS inline
    return terms[first];
  }
};

#ifdef MUXFLOW_CSIM
template <int N> struct PlainTree {
  typedef long long type;
  static long long of(const long long (&terms)[N]) {
    long long sum = 0;
    for (int i = 0; i < N; ++i) sum += terms[i];
    return sum;
  }
};
template <int N> struct Tree<long long, N> : PlainTree<N> {};
template <> struct Tree<long long, 1> : PlainTree<1> {};
#endif

/// A product of LUTs, or of a DSP block: left to itself a tool takes either.
template <class A, class B, bool DSP> struct Multiplier {
  static const bool SIGNED = ElementOf<A>::SIGNED || ElementOf<B>::SIGNED;
  typedef typename Integer<ElementOf<A>::BITS + ElementOf<B>::BITS, SIGNED>::type type;
  static type of(const A& a, const B& b) {
#pragma HLS inline
    const type product = a * b;
#pragma HLS bind_op variable=product op=mul impl=fabric
    return product;
  }
};
template <class A, class B> struct Multiplier<A, B, true> {
  typedef typename Multiplier<A, B, false>::type type;
  static type of(const A& a, const B& b) {
#pragma HLS inline
    const type product = a * b;
#pragma HLS bind_op variable=product op=mul impl=dsp
    return product;
  }
};

#ifdef MUXFLOW_CSIM
template <bool DSP> struct PlainMultiplier {
  typedef long long type;
  static long long of(long long a, long long b) { return a * b; }
};
template <> struct Multiplier<long long, long long, false> : PlainMultiplier<false> {};
template <> struct Multiplier<long long, long long, true> : PlainMultiplier<true> {};
#endif

/// A product in the type of its result, of LUTs where it is not to be of a DSP block.
template <class To, bool DSP = false, class A, class B> To product(const A& a, const B& b) {
#pragma HLS inline
  return Multiplier<A, B, DSP>::of(a, b);
}

#endif

}  // namespace detail
}  // namespace muxflow

#endif
