// Integers of several images side by side, so that one run of the processes simulates all of them.
//
// Control flow, addresses and weights are the same for every image, so a kernel's loop, its counters and its streams are
// paid once; what differs are the codes. Images<T> computes as a plain T does in C++, promotions included, for each image
// by itself; the integers do not depend on the registers that a processor has. A
// comparison gives a Mask, which is no bool: an `if` on codes does not compile, and `choose` takes its place.
// Never seen by a synthesis tool.
#ifndef MUXFLOW_IMAGES_HPP
#define MUXFLOW_IMAGES_HPP

#include <cstdint>
#include <cstring>
#include <type_traits>

/// Images side by side; 1: plain integers take the place of Images.
#ifndef MUXFLOW_IMAGES
#define MUXFLOW_IMAGES 1
#endif

namespace muxflow {

template <int BYTES> struct Mask;
template <class T> struct Images;

namespace detail {
/// The signed or unsigned integer of so many bytes.
template <int BYTES, bool SIGNED> struct NativeInteger;
template <> struct NativeInteger<1, true> { typedef int8_t type; };
template <> struct NativeInteger<1, false> { typedef uint8_t type; };
template <> struct NativeInteger<2, true> { typedef int16_t type; };
template <> struct NativeInteger<2, false> { typedef uint16_t type; };
template <> struct NativeInteger<4, true> { typedef int32_t type; };
template <> struct NativeInteger<4, false> { typedef uint32_t type; };
template <> struct NativeInteger<8, true> { typedef int64_t type; };
template <> struct NativeInteger<8, false> { typedef uint64_t type; };

/// Bytes of a processor's widest register for integers; what is wider is halved.
#if defined(__AVX512BW__)
const int REGISTER = 64;
#elif defined(__AVX2__)
const int REGISTER = 32;
#else
const int REGISTER = 16;
#endif

/// N integers in one register, or two halves.
template <class T, int N, bool WHOLE = (N * sizeof(T) <= REGISTER)> struct Pack {
  static const bool SPLIT = true;
  typedef Pack<T, N / 2> Half;
  Half low, high;
};
template <class T, int N> struct Pack<T, N, true> {
  static const bool SPLIT = false;
  typedef Pack<T, N / 2> Half;
  typedef T Register __attribute__((vector_size(N * sizeof(T))));
  Register all;
};

/// `f` of every register of packs that are halved alike.
template <class R, bool SPLIT = R::SPLIT> struct Each {
  template <class F, class... P> static R of(F f, const P&... packs) {
    const R result = {f(packs.all...)};
    return result;
  }
};
template <class R> struct Each<R, true> {
  template <class F, class... P> static R of(F f, const P&... packs) {
    const R result = {Each<typename R::Half>::of(f, packs.low...), Each<typename R::Half>::of(f, packs.high...)};
    return result;
  }
};

template <class P> typename P::Half half(const P& pack, int which) {
  typename P::Half result;
  std::memcpy(&result, reinterpret_cast<const char*>(&pack) + which * sizeof result, sizeof result);
  return result;
}

/// Conversion from one width to the same, twice or half of it, which processors have instructions for.
template <class To, class From, bool SPLIT = To::SPLIT || From::SPLIT> struct Step {
  static To of(const From& from) {
    const To result = {__builtin_convertvector(from.all, typename To::Register)};
    return result;
  }
};
template <class To, class From> struct Step<To, From, true> {
  typedef Step<typename To::Half, typename From::Half> Halves;
  static To of(const From& from) {
    const typename To::Half halves[2] = {Halves::of(half(from, 0)), Halves::of(half(from, 1))};
    To result;
    std::memcpy(&result, halves, sizeof result);
    return result;
  }
};

/// Conversion, step by step.
template <class To, class From, int N, int STEP = (sizeof(To) > 2 * sizeof(From)) - (sizeof(From) > 2 * sizeof(To))>
struct Convert {
  static Pack<To, N> of(const Pack<From, N>& from) { return Step<Pack<To, N>, Pack<From, N> >::of(from); }
};
template <class T, int N> struct Convert<T, T, N, 0> {
  static const Pack<T, N>& of(const Pack<T, N>& from) { return from; }
};
template <class To, class From, int N, int STEP> struct ConvertBy {
  typedef typename NativeInteger<(STEP > 0 ? 2 * sizeof(From) : sizeof(From) / 2), std::is_signed<From>::value>::type Next;
  static Pack<To, N> of(const Pack<From, N>& from) { return Convert<To, Next, N>::of(Convert<Next, From, N>::of(from)); }
};
template <class To, class From, int N> struct Convert<To, From, N, 1> : ConvertBy<To, From, N, 1> {};
template <class To, class From, int N> struct Convert<To, From, N, -1> : ConvertBy<To, From, N, -1> {};

/// What C++ computes A and B in; integers of one type are compared as they are.
template <class A, class B> struct Promoted { typedef decltype(A() + B()) type; };
template <class A, class B> struct Compared : Promoted<A, B> {};
template <class A> struct Compared<A, A> { typedef A type; };

template <class A, class B> using Arithmetic = Images<typename Promoted<A, B>::type>;
template <class A, class B> using Comparison = Mask<sizeof(typename Compared<A, B>::type)>;

template <class T, class R> struct IfScalar : std::enable_if<std::is_arithmetic<T>::value, R> {};

/// A pack of one value.
template <class P, class T> typename std::enable_if<!P::SPLIT, P>::type fill(T value) {
  const P result = {typename P::Register() + value};
  return result;
}
template <class P, class T> typename std::enable_if<P::SPLIT, P>::type fill(T value) {
  const typename P::Half part = fill<typename P::Half>(value);
  const P result = {part, part};
  return result;
}
}  // namespace detail

#define MUXFLOW_OPERATOR(name, op)                                                            \
  struct name {                                                                               \
    template <class V> auto operator()(const V& a, const V& b) const -> decltype(a op b) {    \
      return a op b;                                                                          \
    }                                                                                         \
  };
namespace detail {
MUXFLOW_OPERATOR(Plus, +)
MUXFLOW_OPERATOR(Minus, -)
MUXFLOW_OPERATOR(Times, *)
MUXFLOW_OPERATOR(And, &)
MUXFLOW_OPERATOR(Or, |)
MUXFLOW_OPERATOR(Xor, ^)
MUXFLOW_OPERATOR(Less, <)
MUXFLOW_OPERATOR(LessEqual, <=)
MUXFLOW_OPERATOR(Greater, >)
MUXFLOW_OPERATOR(GreaterEqual, >=)
MUXFLOW_OPERATOR(Equal, ==)
MUXFLOW_OPERATOR(NotEqual, !=)
struct Right {
  int bits;
  template <class V> V operator()(const V& a) const { return a >> bits; }
};
struct Left {
  int bits;
  template <class V> V operator()(const V& a) const { return a << bits; }
};
struct Choose {
  template <class M, class V> V operator()(const M& mask, const V& yes, const V& no) const { return mask ? yes : no; }
};
}  // namespace detail
#undef MUXFLOW_OPERATOR

/// What a comparison of integers of BYTES bytes gives: all bits of an image set, or none.
template <int BYTES> struct Mask {
  typedef typename detail::NativeInteger<BYTES, true>::type element;
  typedef detail::Pack<element, MUXFLOW_IMAGES> Bits;
  Bits bits;
  Mask() = default;
  explicit Mask(const Bits& bits_) : bits(bits_) {}
  Mask(bool all) : bits(detail::fill<Bits>(element(all ? -1 : 0))) {}
  template <int OTHER> explicit Mask(const Mask<OTHER>& other)
      : bits(detail::Convert<element, typename Mask<OTHER>::element, MUXFLOW_IMAGES>::of(other.bits)) {}
  Mask operator!() const { return Mask(detail::Each<Bits>::of(detail::Xor(), bits, Mask(true).bits)); }
  friend Mask operator|(const Mask& a, const Mask& b) { return Mask(detail::Each<Bits>::of(detail::Or(), a.bits, b.bits)); }
  friend Mask operator&(const Mask& a, const Mask& b) { return Mask(detail::Each<Bits>::of(detail::And(), a.bits, b.bits)); }
};

/// An integer of type T for each image; arithmetic wraps within T where it is assigned, as in C++ (with -fwrapv).
template <class T> struct Images {
  typedef detail::Pack<T, MUXFLOW_IMAGES> Values;
  Values values;

  Images() = default;
  explicit Images(const Values& values_) : values(values_) {}
  template <class U, class = typename detail::IfScalar<U, void>::type>
  Images(U value) : values(detail::fill<Values>(static_cast<T>(value))) {}
  template <class U> Images(const Images<U>& other) : values(detail::Convert<T, U, MUXFLOW_IMAGES>::of(other.values)) {}
  template <int BYTES> Images(const Mask<BYTES>& mask) {
    typedef typename Mask<sizeof(T)>::element S;
    const Images<S> ones(Mask<sizeof(T)>(mask).bits);
    *this = Images(Images<S>(0) -= ones);
  }

#define MUXFLOW_ASSIGNMENT(op, name)                                           \
  Images& operator op(const Images& other) {                                   \
    values = detail::Each<Values>::of(detail::name(), values, other.values);   \
    return *this;                                                              \
  }
  MUXFLOW_ASSIGNMENT(+=, Plus)
  MUXFLOW_ASSIGNMENT(-=, Minus)
  MUXFLOW_ASSIGNMENT(*=, Times)
  MUXFLOW_ASSIGNMENT(&=, And)
  MUXFLOW_ASSIGNMENT(|=, Or)
  MUXFLOW_ASSIGNMENT(^=, Xor)
#undef MUXFLOW_ASSIGNMENT
  Images& operator<<=(int bits) {
    values = detail::Each<Values>::of(detail::Left{bits}, values);
    return *this;
  }
  Images& operator>>=(int bits) {
    values = detail::Each<Values>::of(detail::Right{bits}, values);
    return *this;
  }
  Images<decltype(-T())> operator-() const { return Images<decltype(-T())>(0) - *this; }
  Images<decltype(~T())> operator~() const { return *this ^ -1; }
  friend Images<decltype(+T())> operator>>(const Images& a, int bits) {
    Images<decltype(+T())> result(a);
    return result >>= bits;
  }
  friend Images<decltype(+T())> operator<<(const Images& a, int bits) {
    Images<decltype(+T())> result(a);
    return result <<= bits;
  }
};

// An operator of two Images, and of one and a plain integer: RESULT<A, B> from what `body` makes of Images a and b.
#define MUXFLOW_BINARY(op, RESULT, body)                                                                         \
  template <class A, class B> RESULT<A, B> operator op(const Images<A>& a, const Images<B>& b) { body }           \
  template <class A, class B>                                                                                    \
  typename detail::IfScalar<B, RESULT<A, B> >::type operator op(const Images<A>& a, B b) {                        \
    return a op Images<B>(b);                                                                                    \
  }                                                                                                              \
  template <class A, class B>                                                                                    \
  typename detail::IfScalar<A, RESULT<A, B> >::type operator op(A a, const Images<B>& b) {                        \
    return Images<A>(a) op b;                                                                                    \
  }
#define MUXFLOW_ARITHMETIC(op)           \
  MUXFLOW_BINARY(op, detail::Arithmetic, \
                 detail::Arithmetic<A MUXFLOW_COMMA B> result(a); return result op##= b;)
#define MUXFLOW_COMMA ,
#define MUXFLOW_COMPARISON(op, name)                                                                        \
  MUXFLOW_BINARY(op, detail::Comparison, typedef Images<typename detail::Compared<A MUXFLOW_COMMA B>::type> Common; \
                 typedef detail::Comparison<A MUXFLOW_COMMA B> Result;                                      \
                 return Result(detail::Each<typename Result::Bits>::of(detail::name() MUXFLOW_COMMA         \
                     Common(a).values MUXFLOW_COMMA Common(b).values));)
MUXFLOW_ARITHMETIC(+)
MUXFLOW_ARITHMETIC(-)
MUXFLOW_ARITHMETIC(*)
MUXFLOW_ARITHMETIC(&)
MUXFLOW_ARITHMETIC(|)
MUXFLOW_ARITHMETIC(^)
MUXFLOW_COMPARISON(<, Less)
MUXFLOW_COMPARISON(<=, LessEqual)
MUXFLOW_COMPARISON(>, Greater)
MUXFLOW_COMPARISON(>=, GreaterEqual)
MUXFLOW_COMPARISON(==, Equal)
MUXFLOW_COMPARISON(!=, NotEqual)
#undef MUXFLOW_COMPARISON
#undef MUXFLOW_ARITHMETIC
#undef MUXFLOW_COMMA
#undef MUXFLOW_BINARY

/// `yes` for the images whose bits are set, `no` for the others.
template <class T, int BYTES> Images<T> choose(const Mask<BYTES>& mask, const Images<T>& yes, const Images<T>& no) {
  return Images<T>(detail::Each<typename Images<T>::Values>::of(detail::Choose(), Mask<sizeof(T)>(mask).bits, yes.values,
                                                                no.values));
}

/// The value of one image; what is no Images is the same for all.
template <class T> T of_image(const T& value, int) { return value; }
template <class T> T of_image(const Images<T>& value, int image) {
  return reinterpret_cast<const T*>(&value)[image];
}
template <class T, class U> void set_image(T& value, int, U to) { value = static_cast<T>(to); }
template <class T, class U> void set_image(Images<T>& value, int image, U to) {
  reinterpret_cast<T*>(&value)[image] = static_cast<T>(to);
}

}  // namespace muxflow

#endif
