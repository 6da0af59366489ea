// Integers of exact width for a look at what a synthesis tool's compiler is given: every ap_int is one iN of LLVM, as in
// the tool, where the open headers of the same name have classes around machine words.
#ifndef MUXFLOW_SYNTHESIS_AP_INT_H
#define MUXFLOW_SYNTHESIS_AP_INT_H

template <bool CONDITION, class T> struct ap_if {};
template <class T> struct ap_if<true, T> { typedef T type; };

template <int W, bool S> struct ap_bits { typedef unsigned _BitInt(W) type; };
template <int W> struct ap_bits<W, true> { typedef signed _BitInt(W < 2 ? 2 : W) type; };

template <int W, bool S> struct ap_base;
template <int W> struct ap_int;
template <int W> struct ap_uint;

// Widths of C's own integers.
template <class T> struct ap_native { static const bool value = false; };
#define AP_NATIVE(T, W, S)              \
  template <> struct ap_native<T> {     \
    static const bool value = true;     \
    static const int width = W;         \
    static const bool is_signed = S;    \
  };
AP_NATIVE(bool, 1, false)
AP_NATIVE(char, 8, true)
AP_NATIVE(signed char, 8, true)
AP_NATIVE(unsigned char, 8, false)
AP_NATIVE(short, 16, true)
AP_NATIVE(unsigned short, 16, false)
AP_NATIVE(int, 32, true)
AP_NATIVE(unsigned, 32, false)
AP_NATIVE(long, 64, true)
AP_NATIVE(unsigned long, 64, false)
AP_NATIVE(long long, 64, true)
AP_NATIVE(unsigned long long, 64, false)

template <int W, bool S> struct ap_range {
  ap_base<W, S>& whole;
  int high, low;
  typedef unsigned _BitInt(W) Word;
  Word mask() const { return (Word)((Word)(~(Word)0) >> (W - 1 - (high - low))); }
  Word get() const { return (Word)((Word)whole.v >> low) & mask(); }
  template <class V> void put(V value) {
    const Word cleared = (Word)whole.v & (Word) ~(Word)(mask() << low);
    whole.v = (typename ap_bits<W, S>::type)(cleared | (Word)(((Word)value & mask()) << low));
  }
  template <int W2, bool S2> ap_range& operator=(const ap_base<W2, S2>& value) { put(value.v); return *this; }
  template <int W2, bool S2> ap_range& operator=(const ap_range<W2, S2>& value) { put(value.get()); return *this; }
  ap_range& operator=(const ap_range& value) { put(value.get()); return *this; }
  template <class I> typename ap_if<ap_native<I>::value, ap_range&>::type operator=(I value) { put(value); return *this; }
  operator ap_base<W, false>() const;
  bool operator!=(int other) const { return get() != (Word)other; }
  bool operator==(int other) const { return get() == (Word)other; }
};

template <int W, bool S> struct ap_bit {
  ap_base<W, S>& whole;
  int index;
  operator bool() const { return ((unsigned _BitInt(W))whole.v >> index) & 1; }
  ap_bit& operator=(bool on) {
    ap_range<W, S> bit = {whole, index, index};
    bit.put((unsigned _BitInt(W))on);
    return *this;
  }
  ap_bit& operator=(const ap_bit& other) { return *this = bool(other); }
};

template <int W, bool S> struct ap_base {
  static const int width = W;
  typedef typename ap_bits<W, S>::type T;
  T v;
  ap_base() = default;
  ap_base(const ap_base&) = default;
  ap_base& operator=(const ap_base&) = default;
  template <int W2, bool S2> ap_base(const ap_base<W2, S2>& other) : v((T)other.v) {}
  template <int W2, bool S2> ap_base(const ap_range<W2, S2>& other) : v((T)other.get()) {}
  template <int W2, bool S2> ap_base(const ap_bit<W2, S2>& other) : v((T)bool(other)) {}
  template <class I> ap_base(I value, typename ap_if<ap_native<I>::value, int>::type = 0) : v((T)value) {}
  operator typename ap_if<true, long long>::type() const { return (long long)v; }
  ap_range<W, S> range(int high, int low) { return ap_range<W, S>{*this, high, low}; }
  ap_range<W, S> range(int high, int low) const { return ap_range<W, S>{const_cast<ap_base&>(*this), high, low}; }
  ap_bit<W, S> operator[](int index) { return ap_bit<W, S>{*this, index}; }
  bool operator[](int index) const { return ((unsigned _BitInt(W))v >> index) & 1; }
  ap_base<W, S> operator~() const { ap_base<W, S> r; r.v = (T)~v; return r; }
  ap_base<W + 1, true> operator-() const { ap_base<W + 1, true> r; r.v = -(typename ap_base<W + 1, true>::T)v; return r; }
  ap_base& operator++() { v = (T)(v + (T)1); return *this; }
  ap_base& operator--() { v = (T)(v - (T)1); return *this; }
  ap_base operator>>(int by) const { ap_base r; r.v = (T)(v >> by); return r; }
  ap_base operator<<(int by) const { ap_base r; r.v = (T)(v << by); return r; }
  ap_base& operator>>=(int by) { v = (T)(v >> by); return *this; }
  ap_base& operator<<=(int by) { v = (T)(v << by); return *this; }
  template <class O> ap_base& operator+=(const O& other) { return *this = ap_base(*this + other); }
  template <class O> ap_base& operator-=(const O& other) { return *this = ap_base(*this - other); }
  template <class O> ap_base& operator|=(const O& other) { return *this = ap_base(*this | other); }
  template <class O> ap_base& operator&=(const O& other) { return *this = ap_base(*this & other); }
  template <class O> ap_base& operator^=(const O& other) { return *this = ap_base(*this ^ other); }
};
template <int W, bool S> ap_range<W, S>::operator ap_base<W, false>() const {
  ap_base<W, false> r;
  r.v = get();
  return r;
}

template <int W> struct ap_int : ap_base<W, true> {
  ap_int() = default;
  template <class V> ap_int(const V& value) : ap_base<W, true>(value) {}
};
template <int W> struct ap_uint : ap_base<W, false> {
  ap_uint() = default;
  template <class V> ap_uint(const V& value) : ap_base<W, false>(value) {}
};

// Results are as wide as the vendor's types make them, so that nothing wraps.
template <int W, bool S, int W2, bool S2> struct ap_meet {
  static const bool is_signed = S || S2;
  static const int both = (W + (S2 && !S)) > (W2 + (S && !S2)) ? W + (S2 && !S) : W2 + (S && !S2);
};
#define AP_BOTH (ap_meet<W, S, W2, S2>::both)
#define AP_SIGNED (ap_meet<W, S, W2, S2>::is_signed)
#define AP_OPERATOR(OP, WIDTH, SIGNED)                                                                               \
  template <int W, bool S, int W2, bool S2>                                                                          \
  ap_base<WIDTH, SIGNED> operator OP(const ap_base<W, S>& a, const ap_base<W2, S2>& b) {                             \
    typedef typename ap_base<WIDTH, SIGNED>::T T;                                                                    \
    ap_base<WIDTH, SIGNED> r;                                                                                        \
    r.v = (T)((T)a.v OP(T) b.v);                                                                                     \
    return r;                                                                                                        \
  }                                                                                                                  \
  template <int W, bool S, class I, int W2 = ap_native<I>::width, bool S2 = ap_native<I>::is_signed>                 \
  ap_base<WIDTH, SIGNED> operator OP(const ap_base<W, S>& a, I b) {                                                  \
    return a OP ap_base<W2, S2>(b);                                                                                  \
  }                                                                                                                  \
  template <int W2, bool S2, class I, int W = ap_native<I>::width, bool S = ap_native<I>::is_signed>                 \
  ap_base<WIDTH, SIGNED> operator OP(I a, const ap_base<W2, S2>& b) {                                                \
    return ap_base<W, S>(a) OP b;                                                                                    \
  }
AP_OPERATOR(+, AP_BOTH + 1, AP_SIGNED)
AP_OPERATOR(-, AP_BOTH + 1, true)
AP_OPERATOR(*, W + W2, AP_SIGNED)
AP_OPERATOR(&, AP_BOTH, AP_SIGNED)
AP_OPERATOR(|, AP_BOTH, AP_SIGNED)
AP_OPERATOR(^, AP_BOTH, AP_SIGNED)
#undef AP_OPERATOR
#define AP_COMPARE(OP)                                                                                               \
  template <int W, bool S, int W2, bool S2> bool operator OP(const ap_base<W, S>& a, const ap_base<W2, S2>& b) {     \
    typedef typename ap_base<AP_BOTH, AP_SIGNED>::T T;                                                               \
    return (T)a.v OP(T) b.v;                                                                                         \
  }                                                                                                                  \
  template <int W, bool S, class I, int W2 = ap_native<I>::width, bool S2 = ap_native<I>::is_signed>                 \
  bool operator OP(const ap_base<W, S>& a, I b) {                                                                    \
    return a OP ap_base<W2, S2>(b);                                                                                  \
  }                                                                                                                  \
  template <int W2, bool S2, class I, int W = ap_native<I>::width, bool S = ap_native<I>::is_signed>                 \
  bool operator OP(I a, const ap_base<W2, S2>& b) {                                                                  \
    return ap_base<W, S>(a) OP b;                                                                                    \
  }
AP_COMPARE(==)
AP_COMPARE(!=)
AP_COMPARE(<)
AP_COMPARE(<=)
AP_COMPARE(>)
AP_COMPARE(>=)
#undef AP_COMPARE
#undef AP_BOTH
#undef AP_SIGNED

#endif
