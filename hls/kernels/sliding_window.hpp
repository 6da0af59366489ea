// Sliding window: turns a feature map into the vectors that a convolution or a pool reads.
#ifndef MUXFLOW_SLIDING_WINDOW_HPP
#define MUXFLOW_SLIDING_WINDOW_HPP

#include "muxflow/memory.hpp"
#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {
/// Input rows, counted plane after plane, that must be there before windows can be sent that begin at these coordinates.
template <int DEPTH, int HEIGHT, int SPAN_D, int SPAN_H> int rows_needed(int window_z, int window_y) {
#pragma HLS inline
  int plane = window_z + SPAN_D - 1;
  int row = window_y + SPAN_H - 1;
  if (plane > DEPTH - 1) plane = DEPTH - 1;
  if (row > HEIGHT - 1) row = HEIGHT - 1;
  return plane < 0 || row < 0 ? 0 : plane * HEIGHT + row + 1;
}
}  // namespace detail

/// Maps of one and two axes have a depth of 1, those of one axis a width of 1.
/// \tparam DEPTH, HEIGHT, WIDTH   input map
/// \tparam BLOCKS                 channel blocks; a window is sent block by block
/// \tparam BLOCK_FOLD             beats of one pixel of one block
/// \tparam KERNEL_*, STRIDE_*, DILATION_*  the window
/// \tparam PAD_FRONT, PAD_TOP, PAD_LEFT  padding before the map (padding after it follows from the sizes)
/// \tparam OUT_*                  output positions
/// \tparam ROWS                   rows that the buffer holds
/// \tparam PAD                    the code that stands in the padding
/// \tparam GAP                    idle iterations between two phases, for maps so narrow that a beat would be read back
///                                while its write is still in the pipeline
/// \tparam TRIPS                  iterations of the whole frame
/// \tparam BLOCK                  whether the buffer is planned in block RAM
///
/// Rows are counted plane after plane. Phase 0 reads the rows of the first output row; a later phase sends the windows
/// of an output row while it reads the rows that the next one adds. A phase lasts as long as the longer of the two.
///
/// Invariant: in the phase of an output row the buffer holds every input row that its windows or later ones read, up to
/// and including the row before read_row; input row r stands in slot (r + PAD_FRONT * HEIGHT + PAD_TOP) mod ROWS. ROWS
/// is large enough that no row is overwritten before its last window was sent; for one plane, window height + STRIDE_H
/// rows, because the rows that arrive are STRIDE_H at most.
template <int DEPTH, int HEIGHT, int WIDTH, int BLOCKS, int BLOCK_FOLD, int KERNEL_D, int KERNEL_H, int KERNEL_W,
          int STRIDE_D, int STRIDE_H, int STRIDE_W, int DILATION_D, int DILATION_H, int DILATION_W, int PAD_FRONT,
          int PAD_TOP, int PAD_LEFT, int OUT_DEPTH, int OUT_HEIGHT, int OUT_WIDTH, int ROWS, int PAD, int GAP,
          long TRIPS, bool BLOCK, class X, class Y>
void sliding_window(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "a sliding window keeps the lanes");
  const int PIXEL_BEATS = BLOCKS * BLOCK_FOLD;
  const int ROW_BEATS = WIDTH * PIXEL_BEATS;
  const int SPAN_D = (KERNEL_D - 1) * DILATION_D + 1;
  const int SPAN_H = (KERNEL_H - 1) * DILATION_H + 1;
  const int SPAN_W = (KERNEL_W - 1) * DILATION_W + 1;
  const int PLACES = ROWS * ROW_BEATS;
  // Steps of addresses: to the rows of the next kernel row, kernel plane, output row, and output plane; to the beats of
  // the next kernel column and output column.
  const int KERNEL_ROW_STEP = DILATION_H % ROWS * ROW_BEATS;
  const int KERNEL_PLANE_STEP = DILATION_D * HEIGHT % ROWS * ROW_BEATS;
  const int ROW_STEP = STRIDE_H % ROWS * ROW_BEATS;
  const int PLANE_STEP = ((STRIDE_D * HEIGHT - (OUT_HEIGHT - 1) * STRIDE_H) % ROWS + ROWS) % ROWS * ROW_BEATS;
  const int KERNEL_COLUMN_STEP = DILATION_W * PIXEL_BEATS - (BLOCK_FOLD - 1);
  const int COLUMN_STEP = STRIDE_W * PIXEL_BEATS - (BLOCKS - 1) * BLOCK_FOLD;
  // Coordinates of the input lie between minus the padding and the end of the last window.
  const int REACH_D = PAD_FRONT + OUT_DEPTH * STRIDE_D + SPAN_D;
  const int REACH_H = PAD_TOP + OUT_HEIGHT * STRIDE_H + SPAN_H;
  const int REACH_W = PAD_LEFT + OUT_WIDTH * STRIDE_W + SPAN_W;
  // Rows that the first output row needs; none where it lies in the padding, and then there is no phase 0.
  const int first = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(-PAD_FRONT, -PAD_TOP);

  Rows<X, PLACES, BLOCK> buffer;
  typename Counter<DEPTH * HEIGHT + 1>::type read_row = 0;                    // next input row
  Counter<ROW_BEATS> read_beat;                                               // next beat of it
  Counter<PLACES> read_at((PAD_FRONT * HEIGHT + PAD_TOP) % ROWS * ROW_BEATS); // its place
  typename Counter<DEPTH * HEIGHT + 1>::type read_limit = first;              // rows to hold after this phase
  bool leading = first > 0;                                                   // phase 0
  bool sending = !leading;
  bool starting = !leading;                                // the limit of the present phase is not known yet
  Counter<OUT_DEPTH> out_plane;
  Counter<OUT_HEIGHT> out_row;
  Counter<OUT_WIDTH> out_column;
  Counter<BLOCKS> block;
  Counter<KERNEL_D> kernel_z;
  Counter<KERNEL_H> kernel_y;
  Counter<KERNEL_W> kernel_x;
  Counter<BLOCK_FOLD> fold;
  // Coordinates of the window's first pixel and of the present one.
  typename Signed<REACH_D>::type window_z = -PAD_FRONT, z = -PAD_FRONT;
  typename Signed<REACH_H>::type window_y = -PAD_TOP, y = -PAD_TOP;
  typename Signed<REACH_W>::type window_x = -PAD_LEFT, x = -PAD_LEFT;
  // Places of the window's first row, of the first one of kernel plane kernel_z and of the present one, and what beat of
  // a row the window's block begins at and is the present one.
  Counter<PLACES> window_at, plane_at, row_at;
  typename Signed<REACH_W * PIXEL_BEATS>::type block_at = -PAD_LEFT * PIXEL_BEATS, column_at = -PAD_LEFT * PIXEL_BEATS;
  typename Counter<GAP + 1>::type idle = 0;
  for (long iteration = 0; iteration < TRIPS; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    if (starting) {
      // The rows that the next output row adds; all that are left with the last one.
      int next = DEPTH * HEIGHT;
      if (!out_row.last()) {
        next = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(window_z, window_y + STRIDE_H);
      } else if (!out_plane.last()) {
        next = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(window_z + STRIDE_D, -PAD_TOP);
      }
      if (next > read_limit) read_limit = next;
      starting = false;
    }
    const bool was_idle = idle > 0;
    if (was_idle) --idle;
    if (!was_idle && read_row < read_limit) {
      buffer[read_at] = x_stream.read();
      read_at.next();
      if (read_beat.next()) ++read_row;
    }
    if (!was_idle && sending) {
      const bool inside = z >= 0 && z < DEPTH && y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
      X held;
      if (inside) held = buffer[int(row_at) + int(column_at)];
      Y value;
      for (int lane = 0; lane < Y::LANES; ++lane) {
#pragma HLS unroll
        if (inside) {
          value.set(lane, held.get(lane));
        } else {
          value.set(lane, PAD);
        }
      }
      y_stream.write(value);
      if (!fold.next()) {
        ++column_at;
      } else if (!kernel_x.next()) {
        x += DILATION_W;
        column_at += KERNEL_COLUMN_STEP;
      } else {
        if (!kernel_y.next()) {
          y += DILATION_H;
          row_at.skip(KERNEL_ROW_STEP);
        } else {
          y = window_y;
          if (!kernel_z.next()) {
            z += DILATION_D;
            plane_at.skip(KERNEL_PLANE_STEP);
          } else {
            z = window_z;
            plane_at = window_at;
            if (!block.next()) {
              block_at += BLOCK_FOLD;
            } else if (!out_column.next()) {
              window_x += STRIDE_W;
              block_at += COLUMN_STEP;
            } else {
              window_x = -PAD_LEFT;
              block_at = -PAD_LEFT * PIXEL_BEATS;
              sending = false;
            }
          }
          row_at = plane_at;
        }
        x = window_x;
        column_at = block_at;
      }
    }
    if (!was_idle && read_row >= read_limit && !sending) {
      // Next phase: windows of the next output row.
      if (!leading) {
        const bool last_of_plane = out_row.next();
        window_at.skip(OUT_DEPTH > 1 && last_of_plane ? PLANE_STEP : ROW_STEP);
        if (last_of_plane) {
          out_plane.next();
          window_z += STRIDE_D;
          window_y = -PAD_TOP;
        } else {
          window_y += STRIDE_H;
        }
        z = window_z;
        y = window_y;
        row_at = plane_at = window_at;
      }
      leading = false;
      sending = true;
      starting = true;
      idle = GAP;
    }
  }
}

}  // namespace muxflow

#endif
