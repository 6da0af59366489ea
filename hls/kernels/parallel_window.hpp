// Parallel windows: the form of a sliding window that sends several kernel positions a beat, from a delay line.
#ifndef MUXFLOW_PARALLEL_WINDOW_HPP
#define MUXFLOW_PARALLEL_WINDOW_HPP

#include "muxflow/memory.hpp"
#include "muxflow/stream.hpp"

namespace muxflow {

namespace detail {
/// A register for each kernel position: the one of age 0 holds the newest beat, each other one what a younger one held
/// COLUMN, ROW or PLANE beats ago: its neighbour in the kernel's row, in its column at the end of the row before, or in the
/// kernel plane before. The register of a position gives the first of these beats itself, a delay gives the others.
template <class X, int PIXELS, int KERNEL_H, int KERNEL_W, int COLUMN, int ROW, int PLANE, bool BLOCK_COLUMNS,
          bool BLOCK_ROWS, bool BLOCK_PLANES, int AGE = PIXELS - 1>
struct Taps {
  static const bool IN_ROW = AGE % KERNEL_W != 0;
  static const bool IN_PLANE = AGE % (KERNEL_W * KERNEL_H) != 0;
  static const int YOUNGER = AGE - (IN_ROW ? 1 : IN_PLANE ? KERNEL_W : KERNEL_W * KERNEL_H);
  static const int BEATS = IN_ROW ? COLUMN : IN_PLANE ? ROW : PLANE;
  Delay<X, BEATS - 1, (IN_ROW ? BLOCK_COLUMNS : IN_PLANE ? BLOCK_ROWS : BLOCK_PLANES)> delay;
  Taps<X, PIXELS, KERNEL_H, KERNEL_W, COLUMN, ROW, PLANE, BLOCK_COLUMNS, BLOCK_ROWS, BLOCK_PLANES, AGE - 1> younger;
  /// `held`: by kernel position, so that the oldest comes first.
  void step(X (&held)[PIXELS], const X& newest) {
#pragma HLS inline
    held[PIXELS - 1 - AGE] = delay.step(held[PIXELS - 1 - YOUNGER]);
    younger.step(held, newest);
  }
};
template <class X, int PIXELS, int KERNEL_H, int KERNEL_W, int COLUMN, int ROW, int PLANE, bool BLOCK_COLUMNS,
          bool BLOCK_ROWS, bool BLOCK_PLANES>
struct Taps<X, PIXELS, KERNEL_H, KERNEL_W, COLUMN, ROW, PLANE, BLOCK_COLUMNS, BLOCK_ROWS, BLOCK_PLANES, 0> {
  void step(X (&held)[PIXELS], const X& newest) {
#pragma HLS inline
    held[PIXELS - 1] = newest;
  }
};

/// How many pixels after the first one of its first register a window's pixel lies that is `column` after the first pixel of
/// the first window of a beat: that one lies PAD before a whole number of beats.
template <int WORD, int PAD> int on(int column) {
#pragma HLS inline
  return (PAD + WORD - 1) / WORD * WORD - PAD + column;
}

/// Which of the kernel positions of an axis lie in the map, for a window that begins at `first`.
template <int SIZE, int KERNEL, int DILATION, bool EDGES, class T> void inside(bool (&flags)[KERNEL], const T& first) {
#pragma HLS inline
  for (int k = 0; k < KERNEL; ++k) {
#pragma HLS unroll
    const int at = int(first) + k * DILATION;
    flags[k] = !EDGES || (at >= 0 && at < SIZE);
  }
}
}  // namespace detail

/// Parallel windows: POSITIONS kernel positions of WINDOWS windows a beat. A delay line holds what lies between the
/// oldest and the newest pixel of a window, and a register each of its pixels. With several windows a beat that is read
/// holds the WINDOWS * STRIDE_W pixels from one beat of windows to the next, and such beats take the place of pixels. The
/// map is scanned in steps, SCAN_HEIGHT rows a plane and SCAN_WIDTH pixels a row, which are the map's or as many as lie
/// between the first and the last window.
/// \tparam GROUP_LANES, CHANNELS  groups in a beat, channels of each
/// \tparam SCAN_HEIGHT, SCAN_WIDTH  see above
/// \tparam WINDOWS      neighbouring windows of a beat that is sent
/// \tparam TAPS         registers of a row: columns of the kernel, or beats that the windows of a beat span
/// \tparam LEAD         steps before the first pixel is read: windows that begin in the padding
/// \tparam FIRST        steps before the one that completes the first window
/// \tparam BLOCK_*      whether the delays along rows, from row to row, and from plane to plane are planned in block RAM
///
/// The others are those of sliding_window. Invariant: before step t of the scan, the register of kernel position k holds
/// what was read as many steps before step t - 1 as lie between k and the last position; those of no pixel of the map are
/// not sent. `until` is the number of steps before the one that completes the next window.
template <int DEPTH, int HEIGHT, int WIDTH, int BLOCKS, int GROUP_LANES, int CHANNELS, int WINDOWS, int KERNEL_D,
          int KERNEL_H, int KERNEL_W, int STRIDE_D, int STRIDE_H, int STRIDE_W, int DILATION_D, int DILATION_H, int DILATION_W,
          int PAD_FRONT, int PAD_TOP, int PAD_LEFT, int OUT_DEPTH, int OUT_HEIGHT, int OUT_WIDTH, int POSITIONS,
          int SCAN_HEIGHT, int SCAN_WIDTH, int LEAD, int FIRST, int TAPS, long long PAD, long TRIPS, bool BLOCK_COLUMNS,
          bool BLOCK_ROWS, bool BLOCK_PLANES, class X, class Y>
void parallel_window(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  const int WORD = WINDOWS > 1 ? WINDOWS * STRIDE_W : 1;  // pixels of a beat that is read
  const int PIXEL_LANES = GROUP_LANES * CHANNELS;
  static_assert(X::LANES == WORD * PIXEL_LANES, "input lanes must be GROUP_LANES * CHANNELS of each pixel");
  static_assert(Y::LANES == WINDOWS * POSITIONS * PIXEL_LANES, "output lanes must be POSITIONS pixels of each window");
  typedef typename X::template Of<PIXEL_LANES>::type Pixel;
  const int PARTS = KERNEL_D * KERNEL_H * KERNEL_W / POSITIONS;
  const int REGISTERS = KERNEL_D * KERNEL_H * TAPS;
  // Steps of a beat from a position of the kernel, and from a window, to the next one along each axis.
  const int ROW = SCAN_WIDTH * BLOCKS;
  const int COLUMN = (WINDOWS > 1 ? 1 : DILATION_W) * BLOCKS;
  const int NEXT = (WINDOWS > 1 ? 1 : STRIDE_W) * BLOCKS;
  const int PLANE = DEPTH > 1 || KERNEL_D > 1 || OUT_DEPTH > 1 ? SCAN_HEIGHT * ROW : 1;
  const int NEXT_COLUMN = NEXT - (BLOCKS - 1);
  const int NEXT_ROW = STRIDE_H * ROW - (OUT_WIDTH / WINDOWS - 1) * NEXT - (BLOCKS - 1);
  const int NEXT_PLANE = OUT_DEPTH > 1 ? STRIDE_D * PLANE - (OUT_HEIGHT - 1) * STRIDE_H * ROW
                                             - (OUT_WIDTH / WINDOWS - 1) * NEXT - (BLOCKS - 1)
                                       : 1;
  const int LONGEST = NEXT_PLANE > NEXT_ROW ? NEXT_PLANE : NEXT_ROW;
  const int MOST = LONGEST > NEXT_COLUMN ? LONGEST : NEXT_COLUMN;
  // Whether a window can reach over the map's edges.
  const bool EDGES_D = PAD_FRONT > 0 || (OUT_DEPTH - 1) * STRIDE_D + (KERNEL_D - 1) * DILATION_D >= DEPTH;
  const bool EDGES_H = PAD_TOP > 0 || (OUT_HEIGHT - 1) * STRIDE_H + (KERNEL_H - 1) * DILATION_H >= HEIGHT;
  const bool EDGES_W = PAD_LEFT > 0 || (OUT_WIDTH - 1) * STRIDE_W + (KERNEL_W - 1) * DILATION_W >= WIDTH;

  detail::Taps<X, REGISTERS, KERNEL_H, TAPS, COLUMN, DILATION_H * ROW, DILATION_D * PLANE, BLOCK_COLUMNS, BLOCK_ROWS,
               BLOCK_PLANES> taps;
  X held[REGISTERS];
#pragma HLS array_partition variable=held complete
  typename Counter<LEAD * BLOCKS + 1>::type lead = LEAD * BLOCKS;
  Counter<ROW> read_beat;
  Counter<SCAN_HEIGHT> read_row;
  typename Counter<DEPTH + 1>::type read_plane = 0;
  typename Counter<(FIRST * BLOCKS > MOST ? FIRST * BLOCKS : MOST) + 1>::type until = FIRST * BLOCKS;
  bool sending = false;
  bool done = false;
  Counter<OUT_HEIGHT> out_row;
  Counter<OUT_DEPTH> out_plane;
  Counter<OUT_WIDTH / WINDOWS> out_column;
  Counter<BLOCKS> block;
  Counter<PARTS> part;
  typename Signed<PAD_FRONT + OUT_DEPTH * STRIDE_D>::type window_z = -PAD_FRONT;
  typename Signed<PAD_TOP + OUT_HEIGHT * STRIDE_H>::type window_y = -PAD_TOP;
  typename Signed<PAD_LEFT + OUT_WIDTH * STRIDE_W>::type window_x = -PAD_LEFT;
  for (long iteration = 0; iteration < TRIPS; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    if (!sending) {
      X newest;
      if (lead > 0) {
        --lead;
      } else {
        if (read_plane < DEPTH && read_row < HEIGHT && read_beat < WIDTH / WORD * BLOCKS) newest = x_stream.read();
        if (read_beat.next() && read_row.next() && read_plane < DEPTH) ++read_plane;
      }
      taps.step(held, newest);
      sending = until == 0 && !done;
      if (until > 0) --until;
    }
    if (sending) {
      bool in_plane[KERNEL_D], in_row[KERNEL_H];
#pragma HLS array_partition variable=in_plane complete
#pragma HLS array_partition variable=in_row complete
      detail::inside<DEPTH, KERNEL_D, DILATION_D, EDGES_D>(in_plane, window_z);
      detail::inside<HEIGHT, KERNEL_H, DILATION_H, EDGES_H>(in_row, window_y);
      Y value;
      for (int window = 0; window < WINDOWS; ++window) {
#pragma HLS unroll
        bool in_column[KERNEL_W];
#pragma HLS array_partition variable=in_column complete
        detail::inside<WIDTH, KERNEL_W, DILATION_W, EDGES_W>(in_column, int(window_x) + window * STRIDE_W);
        for (int position = 0; position < POSITIONS; ++position) {
#pragma HLS unroll
          Pixel pixel;
          bool in_map = false;
          for (int choice = 0; choice < PARTS; ++choice) {
#pragma HLS unroll
            const int k = choice * POSITIONS + position;
            // Pixels from that before the first one of the beat in the first register of the row.
            const int on = detail::on<WORD, PAD_LEFT>(window * STRIDE_W + k % KERNEL_W * DILATION_W);
            const int tap = WINDOWS > 1 ? on / WORD : k % KERNEL_W;
            if (part == choice) {
              held[k / KERNEL_W * TAPS + tap].take(pixel, WINDOWS > 1 ? on % WORD : 0);
              in_map = in_plane[k / (KERNEL_H * KERNEL_W)] && in_row[k / KERNEL_W % KERNEL_H] && in_column[k % KERNEL_W];
            }
          }
          for (int group = 0; group < GROUP_LANES; ++group) {
#pragma HLS unroll
            for (int channel = 0; channel < CHANNELS; ++channel) {
#pragma HLS unroll
              const int lane = ((window * GROUP_LANES + group) * POSITIONS + position) * CHANNELS + channel;
              if (in_map) {
                value.set(lane, pixel.get(group * CHANNELS + channel));
              } else {
                value.set(lane, PAD);
              }
            }
          }
        }
      }
      y_stream.write(value);
      if (part.next()) {
        sending = false;
        if (!block.next()) {
          until = 0;
        } else if (!out_column.next()) {
          window_x += STRIDE_W * WINDOWS;
          until = NEXT_COLUMN - 1;
        } else {
          window_x = -PAD_LEFT;
          if (!out_row.next()) {
            window_y += STRIDE_H;
            until = NEXT_ROW - 1;
          } else {
            window_y = -PAD_TOP;
            window_z += STRIDE_D;
            until = NEXT_PLANE - 1;
            done = out_plane.next();
          }
        }
      }
    }
  }
}

}  // namespace muxflow

#endif
