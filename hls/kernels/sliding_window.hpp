// Sliding window: turns a feature map into the vectors that a convolution or a pool reads.
#ifndef MUXFLOW_SLIDING_WINDOW_HPP
#define MUXFLOW_SLIDING_WINDOW_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {
/// Input rows, counted plane after plane, that must be there before the windows of an output row can be sent.
template <int DEPTH, int HEIGHT, int STRIDE_D, int STRIDE_H, int PAD_FRONT, int PAD_TOP, int SPAN_D, int SPAN_H>
int rows_needed(int out_plane, int out_row) {
#pragma HLS inline
  int plane = out_plane * STRIDE_D - PAD_FRONT + SPAN_D - 1;
  int row = out_row * STRIDE_H - PAD_TOP + SPAN_H - 1;
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
          long TRIPS, class X, class Y>
void sliding_window(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "a sliding window keeps the lanes");
  const int PIXEL_BEATS = BLOCKS * BLOCK_FOLD;
  const int ROW_BEATS = WIDTH * PIXEL_BEATS;
  const int SPAN_D = (KERNEL_D - 1) * DILATION_D + 1;
  const int SPAN_H = (KERNEL_H - 1) * DILATION_H + 1;
  // How far the first slot moves: to the next output row, and to the first one of the next plane.
  const int ROW_STEP = STRIDE_H % ROWS;
  const int PLANE_STEP = ((STRIDE_D * HEIGHT - (OUT_HEIGHT - 1) * STRIDE_H) % ROWS + ROWS) % ROWS;
  const int KERNEL_PLANE_STEP = DILATION_D * HEIGHT % ROWS;
#define MUXFLOW_ROWS_NEEDED(plane, row) \
  detail::rows_needed<DEPTH, HEIGHT, STRIDE_D, STRIDE_H, PAD_FRONT, PAD_TOP, SPAN_D, SPAN_H>(plane, row)
  // Rows that the first output row needs; none where it lies in the padding, and then there is no phase 0.
  const int first = MUXFLOW_ROWS_NEEDED(0, 0);

  X buffer[ROWS * ROW_BEATS];
#pragma HLS dependence variable=buffer inter false
  int read_row = 0;                                       // next input row
  int read_beat = 0;                                      // next beat of it
  int read_slot = (PAD_FRONT * HEIGHT + PAD_TOP) % ROWS;  // slot of that row
  int out_plane = 0;
  int out_row = first > 0 ? -1 : 0;                       // -1: phase 0
  int read_limit = first;                                 // rows to hold after this phase
  int first_slot = 0;                                     // slot of the window's first row
  bool sending = first == 0;
  int out_column = 0;
  int block = 0, kernel_z = 0, kernel_y = 0, kernel_x = 0, fold = 0;
  int kernel_plane = 0;                                   // slots from the window's first plane to plane kernel_z
  int idle = 0;
  bool starting = first == 0;                             // the limit of the present phase is not known yet
  for (long iteration = 0; iteration < TRIPS; ++iteration) {
#pragma HLS pipeline II=1
    if (starting) {
      // The rows that the next output row adds; all that are left with the last one.
      int next = DEPTH * HEIGHT;
      if (out_row + 1 < OUT_HEIGHT) {
        next = MUXFLOW_ROWS_NEEDED(out_plane, out_row + 1);
      } else if (out_plane + 1 < OUT_DEPTH) {
        next = MUXFLOW_ROWS_NEEDED(out_plane + 1, 0);
      }
      if (next > read_limit) read_limit = next;
      starting = false;
    }
    const bool was_idle = idle > 0;
    if (was_idle) --idle;
    if (!was_idle && read_row < read_limit) {
      buffer[read_slot * ROW_BEATS + read_beat] = x_stream.read();
      if (++read_beat == ROW_BEATS) {
        read_beat = 0;
        ++read_row;
        if (++read_slot == ROWS) read_slot = 0;
      }
    }
    if (!was_idle && sending) {
      const int z = out_plane * STRIDE_D - PAD_FRONT + kernel_z * DILATION_D;
      const int y = out_row * STRIDE_H - PAD_TOP + kernel_y * DILATION_H;
      const int x = out_column * STRIDE_W - PAD_LEFT + kernel_x * DILATION_W;
      int slot = first_slot + kernel_plane + kernel_y * DILATION_H;
      if (slot >= ROWS) slot -= ROWS;
      if (KERNEL_D > 1 && slot >= ROWS) slot -= ROWS;
      const bool inside = z >= 0 && z < DEPTH && y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
      X held;
      if (inside) held = buffer[slot * ROW_BEATS + x * PIXEL_BEATS + block * BLOCK_FOLD + fold];
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
      if (++fold == BLOCK_FOLD) {
        fold = 0;
        if (++kernel_x == KERNEL_W) {
          kernel_x = 0;
          if (++kernel_y == KERNEL_H) {
            kernel_y = 0;
            if (KERNEL_D > 1) {
              kernel_plane += KERNEL_PLANE_STEP;
              if (kernel_plane >= ROWS) kernel_plane -= ROWS;
            }
            if (++kernel_z == KERNEL_D) {
              kernel_z = 0;
              kernel_plane = 0;
              if (++block == BLOCKS) {
                block = 0;
                if (++out_column == OUT_WIDTH) {
                  out_column = 0;
                  sending = false;
                }
              }
            }
          }
        }
      }
    }
    if (!was_idle && read_row >= read_limit && !sending) {
      // Next phase: windows of the next output row.
      if (out_row >= 0) {
        const bool last_of_plane = OUT_DEPTH > 1 && out_row == OUT_HEIGHT - 1;
        first_slot += last_of_plane ? PLANE_STEP : ROW_STEP;
        if (first_slot >= ROWS) first_slot -= ROWS;
        if (last_of_plane) {
          out_row = -1;
          ++out_plane;
        }
      }
      ++out_row;
      sending = true;
      starting = true;
      idle = GAP;
    }
  }
#undef MUXFLOW_ROWS_NEEDED
}

}  // namespace muxflow

#endif
