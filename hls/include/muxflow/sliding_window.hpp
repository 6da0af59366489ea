// Sliding window: turns a feature map into the vectors that a convolution or a pool reads.
#ifndef MUXFLOW_SLIDING_WINDOW_HPP
#define MUXFLOW_SLIDING_WINDOW_HPP

#include "muxflow/stream.hpp"

namespace muxflow {

/// \tparam HEIGHT, WIDTH          input feature map
/// \tparam BLOCKS                 channel blocks; a window is sent block by block
/// \tparam BLOCK_FOLD             beats of one pixel of one block
/// \tparam KERNEL_*, STRIDE_*, DILATION_*  the window
/// \tparam PAD_TOP, PAD_LEFT      rows and columns of padding before the map (padding after it follows from the sizes)
/// \tparam OUT_HEIGHT, OUT_WIDTH  output positions
/// \tparam PAD                    the code that stands in the padding
/// \tparam GAP                    idle steps between two phases, for maps so narrow that a beat would be read back
///                                while its write is still in the pipeline
/// \tparam TRIPS                  steps of the whole frame
///
/// Phase 0 reads the rows of the first output row; phase r + 1 sends the windows of
/// output row r while it reads the rows that row r + 1 adds. A phase lasts as long as the longer of the two.
///
/// Invariant: in the phase of output row r the buffer holds input rows r * STRIDE_H - PAD_TOP and up to and including
/// the row before read_row, input row y in slot (y + PAD_TOP) mod ROWS. ROWS = window height + STRIDE_H rows suffice,
/// because the rows that arrive are STRIDE_H at most.
template <int HEIGHT, int WIDTH, int BLOCKS, int BLOCK_FOLD, int KERNEL_H, int KERNEL_W, int STRIDE_H, int STRIDE_W,
          int DILATION_H, int DILATION_W, int PAD_TOP, int PAD_LEFT, int OUT_HEIGHT, int OUT_WIDTH, int PAD, int GAP,
          long TRIPS, class X, class Y>
void sliding_window(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES == Y::LANES, "a sliding window keeps the lanes");
  const int PIXEL_BEATS = BLOCKS * BLOCK_FOLD;
  const int ROW_BEATS = WIDTH * PIXEL_BEATS;
  const int WINDOW_ROWS = (KERNEL_H - 1) * DILATION_H + 1;
  const int ROWS = WINDOW_ROWS + STRIDE_H;
  static_assert(WINDOW_ROWS > PAD_TOP, "padding must be smaller than the window");

  X buffer[ROWS * ROW_BEATS];
#pragma HLS dependence variable=buffer inter false
  int read_row = 0;                                // next input row
  int read_beat = 0;                               // next beat of it
  int read_slot = PAD_TOP % ROWS;                  // slot of that row
  int read_limit = WINDOW_ROWS - PAD_TOP < HEIGHT ? WINDOW_ROWS - PAD_TOP : HEIGHT;  // rows to hold after this phase
  int out_row = -1;                                // -1: phase 0
  int first_slot = 0;                              // slot of the window's first row
  bool sending = false;
  int out_column = 0;
  int block = 0, kernel_y = 0, kernel_x = 0, fold = 0;
  int idle = 0;
  for (long step = 0; step < TRIPS; ++step) {
#pragma HLS pipeline II=1
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
      const int y = out_row * STRIDE_H - PAD_TOP + kernel_y * DILATION_H;
      const int x = out_column * STRIDE_W - PAD_LEFT + kernel_x * DILATION_W;
      int slot = first_slot + kernel_y * DILATION_H;
      if (slot >= ROWS) slot -= ROWS;
      const bool inside = y >= 0 && y < HEIGHT && x >= 0 && x < WIDTH;
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
    if (!was_idle && read_row >= read_limit && !sending) {
      // Next phase: windows of the next output row, and the rows that the one after it adds.
      if (out_row >= 0) {
        first_slot += STRIDE_H % ROWS;
        if (first_slot >= ROWS) first_slot -= ROWS;
      }
      ++out_row;
      sending = true;
      idle = GAP;
      const int next = (out_row + 1) * STRIDE_H - PAD_TOP + WINDOW_ROWS;
      read_limit = out_row + 1 >= OUT_HEIGHT || next > HEIGHT ? HEIGHT : next;
    }
  }
}

}  // namespace muxflow

#endif
