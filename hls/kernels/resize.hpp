// Resize: repeats pixels or puts codes between them, then pads or crops.
#ifndef MUXFLOW_RESIZE_HPP
#define MUXFLOW_RESIZE_HPP

#include "muxflow/memory.hpp"
#include "muxflow/stream.hpp"

namespace muxflow {

/// Maps of one and two axes have a depth of 1, those of one axis a width of 1.
/// \tparam DEPTH, HEIGHT, WIDTH, FOLD  input map; beats of a pixel
/// \tparam FACTOR_*                    positions from one pixel to the next
/// \tparam BEFORE_*                    positions added before the stretched map, removed where negative
/// \tparam OUT_*                       positions sent
/// \tparam REPEAT                      true: a pixel fills all its positions, false: the first, CODE the others
/// \tparam CODE                        what stands in the padding, too
/// \tparam BLOCK                       whether `rows` is planned in block RAM
///
/// The loop visits every position that is read or sent, the padding's and those cropped among them.
///
/// Invariant: `pixel` holds, fold by fold, the present pixel. With REPEAT, `rows` holds the pixels that came in of the
/// present input row (with FACTOR_D > 1 of the present plane), in order; `at` is the place of the next one.
template <int DEPTH, int HEIGHT, int WIDTH, int FOLD, int FACTOR_D, int FACTOR_H, int FACTOR_W, int BEFORE_D,
          int BEFORE_H, int BEFORE_W, int OUT_DEPTH, int OUT_HEIGHT, int OUT_WIDTH, bool REPEAT, long long CODE, bool BLOCK,
          class X, class Y>
void resize(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "resizing keeps the lanes");
  const int MADE_D = REPEAT ? DEPTH * FACTOR_D : (DEPTH - 1) * FACTOR_D + 1;
  const int MADE_H = REPEAT ? HEIGHT * FACTOR_H : (HEIGHT - 1) * FACTOR_H + 1;
  const int MADE_W = REPEAT ? WIDTH * FACTOR_W : (WIDTH - 1) * FACTOR_W + 1;
  const int LEAD_D = BEFORE_D > 0 ? BEFORE_D : 0, FIRST_D = LEAD_D - BEFORE_D;
  const int LEAD_H = BEFORE_H > 0 ? BEFORE_H : 0, FIRST_H = LEAD_H - BEFORE_H;
  const int LEAD_W = BEFORE_W > 0 ? BEFORE_W : 0, FIRST_W = LEAD_W - BEFORE_W;
  const int SPAN_D = LEAD_D + MADE_D > FIRST_D + OUT_DEPTH ? LEAD_D + MADE_D : FIRST_D + OUT_DEPTH;
  const int SPAN_H = LEAD_H + MADE_H > FIRST_H + OUT_HEIGHT ? LEAD_H + MADE_H : FIRST_H + OUT_HEIGHT;
  const int SPAN_W = LEAD_W + MADE_W > FIRST_W + OUT_WIDTH ? LEAD_W + MADE_W : FIRST_W + OUT_WIDTH;
  const bool AGAIN = REPEAT && FACTOR_D * FACTOR_H > 1;
  const int ROW = WIDTH * FOLD;
  const int PLACES = AGAIN ? (FACTOR_D > 1 ? HEIGHT : 1) * ROW : 1;
  Circle<X, FOLD, false> pixel;
  Places<X, PLACES, SPAN_W * FOLD, BLOCK> rows;
  Counter<FOLD> fold;
  Counter<SPAN_W> x;
  Counter<SPAN_H> y;
  Counter<SPAN_D> z;
  Counter<FACTOR_W> inner_x;
  Counter<FACTOR_H> inner_y;
  Counter<FACTOR_D> inner_z;
  Counter<PLACES> row_start, at;
  for (long iteration = 0; iteration < long(SPAN_D) * SPAN_H * SPAN_W * FOLD; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    const bool made_x = x >= LEAD_W && x < LEAD_W + MADE_W;
    const bool made_y = y >= LEAD_H && y < LEAD_H + MADE_H;
    const bool made_z = z >= LEAD_D && z < LEAD_D + MADE_D;
    const bool made = made_x && made_y && made_z;
    const bool first_row = inner_y == 0 && inner_z == 0;
    const bool fresh = made && first_row && inner_x == 0;
    const bool shown = REPEAT ? made : fresh;
    X held = pixel.here();
    if (fresh) {
      held = x_stream.read();
      if (AGAIN) rows[at] = held;
    } else if (AGAIN && made && inner_x == 0) {
      held = rows[at];
    }
    if (AGAIN && made && inner_x == 0) at.next();
    pixel.here() = held;
    pixel.next();
    if (x >= FIRST_W && x < FIRST_W + OUT_WIDTH && y >= FIRST_H && y < FIRST_H + OUT_HEIGHT && z >= FIRST_D &&
        z < FIRST_D + OUT_DEPTH) {
      Y value;
      for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
        if (shown) {
          value.set(lane, held.get(lane));
        } else {
          value.set(lane, CODE);
        }
      }
      y_stream.write(value);
    }
    if (fold.next()) {
      if (made_x) inner_x.next();
      if (x.next()) {
        inner_x = Counter<FACTOR_W>();
        if (made_y) {
          // Another position of the same input row finds its places again.
          if (inner_y.next()) row_start = at;
          at = row_start;
        }
        if (y.next()) {
          inner_y = Counter<FACTOR_H>();
          row_start = at = Counter<PLACES>();
          if (made_z) inner_z.next();
          if (z.next()) inner_z = Counter<FACTOR_D>();
        }
      }
    }
  }
}

}  // namespace muxflow

#endif
