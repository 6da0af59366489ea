// MUX-bitshift residual join: y = select ? (x + f) >> 1 : f, on unsigned codes.
#ifndef MUXFLOW_MUX_JOIN_HPP
#define MUXFLOW_MUX_JOIN_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {
/// The residual of one lane: the bit shift keeps the sum of two k-bit codes in k bits.
template <class Y, class XE, class FE> typename Y::element mux_shift(bool select, XE x, FE f) {
#pragma HLS inline
  const int sum = int(x) + int(f);
  return select ? (sum >> 1) : int(f);
}
}  // namespace detail

/// Common loop: X_FOLD beats of x and F_FOLD beats of f a pixel; the first min(X_FOLD, F_FOLD) meet, later beats of f
/// pass and later beats of x are dropped. Select is asked once for every lane of a meeting beat.
/// Invariant: step i handles beat i mod max(X_FOLD, F_FOLD) of pixel i / max(X_FOLD, F_FOLD).
template <int PIXELS, int X_FOLD, int F_FOLD, class Select, class X, class F, class Y>
void mux_join_loop(Select& select, stream<X>& x_stream, stream<F>& f_stream, stream<Y>& y_stream) {
#pragma HLS inline
  const int FOLD = X_FOLD > F_FOLD ? X_FOLD : F_FOLD;
  int fold = 0;
  bool first_pixel = true;
  for (long step = 0; step < long(PIXELS) * FOLD; ++step) {
#pragma HLS pipeline II=1
    X x;
    if (fold < X_FOLD) x = x_stream.read();
    if (fold < F_FOLD) {
      const F f = f_stream.read();
      Y y;
      if (fold < X_FOLD) {
        select.meet(fold, first_pixel);
        for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
          y.set(lane, detail::mux_shift<Y>(select.ask(fold, lane, x.get(lane)), x.get(lane), f.get(lane)));
        }
      } else {
        for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
          y.set(lane, f.get(lane));
        }
      }
      y_stream.write(y);
    }
    if (++fold == FOLD) {
      fold = 0;
      first_pixel = false;
    }
  }
}

namespace detail {
struct AlwaysSelect {
  void meet(int, bool) {}
  template <class E> bool ask(int, int, E) const { return true; }
};

template <int FOLD, int LANES, class T> struct ElementSelect {
  const T (&table)[FOLD][LANES];
  void meet(int, bool) {}
  template <class E> bool ask(int fold, int lane, E x) const { return T(x) >= table[fold][lane]; }
};

template <int FOLD, class S> struct StreamSelect {
  stream<S>& source;
  S held[FOLD];
  explicit StreamSelect(stream<S>& source_) : source(source_) {}
  void meet(int fold, bool first_pixel) {
    if (first_pixel) held[fold] = source.read();
  }
  template <class E> bool ask(int fold, int lane, E) const { return held[fold].get(lane) != 0; }
};
}  // namespace detail

/// Select is always 1: the pure bit-shift residual.
/// \tparam PIXELS          pixels in a frame
/// \tparam X_FOLD, F_FOLD  beats of a pixel of x and of f
template <int PIXELS, int X_FOLD, int F_FOLD, class X, class F, class Y>
void mux_join_always(stream<X>& x_stream, stream<F>& f_stream, stream<Y>& y_stream) {
  detail::AlwaysSelect select;
  mux_join_loop<PIXELS, X_FOLD, F_FOLD>(select, x_stream, f_stream, y_stream);
}

/// Select is 1 where x reaches the threshold of its channel: table[fold][lane].
template <int PIXELS, int X_FOLD, int F_FOLD, int FOLD, class T, class X, class F, class Y>
void mux_join_element(const T (&table)[FOLD][X::LANES], stream<X>& x_stream, stream<F>& f_stream,
                      stream<Y>& y_stream) {
  static_assert(FOLD == (X_FOLD < F_FOLD ? X_FOLD : F_FOLD), "one row of thresholds for each meeting beat");
#pragma HLS array_reshape variable=table complete dim=2
  detail::ElementSelect<FOLD, X::LANES, T> select = {table};
  mux_join_loop<PIXELS, X_FOLD, F_FOLD>(select, x_stream, f_stream, y_stream);
}

/// Select comes as a stream of one bit a channel, once a frame.
template <int PIXELS, int X_FOLD, int F_FOLD, class X, class F, class S, class Y>
void mux_join_stream(stream<X>& x_stream, stream<F>& f_stream, stream<S>& s_stream, stream<Y>& y_stream) {
  detail::StreamSelect<(X_FOLD < F_FOLD ? X_FOLD : F_FOLD), S> select(s_stream);
  mux_join_loop<PIXELS, X_FOLD, F_FOLD>(select, x_stream, f_stream, y_stream);
}

}  // namespace muxflow

#endif
