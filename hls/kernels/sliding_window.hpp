// Sliding window: turns a feature map into the vectors that a convolution or a pool reads.
#ifndef MUXFLOW_SLIDING_WINDOW_HPP
#define MUXFLOW_SLIDING_WINDOW_HPP

#include "muxflow/decimate.hpp"
#include "muxflow/memory.hpp"
#include "muxflow/parallel_window.hpp"
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

/// Columns of a row that must be there before windows can be sent that begin at this column.
template <int WIDTH, int SPAN_W> int columns_needed(int window_x) {
#pragma HLS inline
  const int columns = window_x + SPAN_W;
  return columns < 0 ? 0 : columns > WIDTH ? WIDTH : columns;
}

/// Where columns stand: of window `window` of a beat, kernel column k is read from bank `of`; a bank gives kernel column k
/// to window `window_in`, none where that is negative, from `ahead` columns of the bank after the first one of the beat.
template <int BANKS, int STRIDE, int DILATION, int PAD> struct BankOf {
  static int turned(int column) {
#pragma HLS inline
    return (column % BANKS + BANKS) % BANKS;
  }
  static int of(int window, int k) {
#pragma HLS inline
    return turned(window * STRIDE + k * DILATION - PAD);
  }
  static int window_in(int bank, int k) {
#pragma HLS inline
    const int apart = turned(bank - k * DILATION + PAD);
    return BANKS == 1 ? 0 : apart % STRIDE == 0 ? apart / STRIDE : -1;
  }
  static int ahead(int bank, int k) {
#pragma HLS inline
    return BANKS == 1 ? 0 : (window_in(bank, k) * STRIDE + k * DILATION - PAD - bank) / BANKS;
  }
};

/// The last LEFT of BANKS memories of a line buffer.
template <class Part, int PLACES, bool BLOCK, int BANKS, int LEFT> struct Banks {
  static const int BANK = BANKS - LEFT;
  Rows<Part, PLACES, BLOCK> rows;
  Banks<Part, PLACES, BLOCK, BANKS, LEFT - 1> others;
  /// Writes the pixels of a beat into the banks of slot `slot`.
  template <class X> void write(const X& x, int slot, int place) {
#pragma HLS inline
    const int PIXELS = X::LANES / Part::LANES;
    if (slot == BANK / PIXELS) {
      Part part;
      x.take(part, BANK % PIXELS);
      rows[place] = part;
    }
    others.write(x, slot, place);
  }
  /// Reads from each bank what it gives to a window of the beat, where that lies in the map; `x`: column of the first one.
  template <class Of, int KERNEL, int STRIDE, int WIDTH, int COLUMN>
  void read(Part (&held)[BANKS], bool inside, int x, int kernel_x, int place) {
#pragma HLS inline
    int column = -1;
    int ahead = 0;
    for (int k = 0; k < KERNEL; ++k) {
#pragma HLS unroll
      if ((BANKS == 1 || kernel_x == k) && Of::window_in(BANK, k) >= 0) {
        column = x + Of::window_in(BANK, k) * STRIDE;
        ahead = Of::ahead(BANK, k) * COLUMN;
      }
    }
    if (inside && column >= 0 && column < WIDTH) held[BANK] = rows[place + ahead];
    others.template read<Of, KERNEL, STRIDE, WIDTH, COLUMN>(held, inside, x, kernel_x, place);
  }
};
template <class Part, int PLACES, bool BLOCK, int BANKS> struct Banks<Part, PLACES, BLOCK, BANKS, 0> {
  template <class X> void write(const X&, int, int) {
#pragma HLS inline
  }
  template <class Of, int KERNEL, int STRIDE, int WIDTH, int COLUMN> void read(Part (&)[BANKS], bool, int, int, int) {
#pragma HLS inline
  }
};
}  // namespace detail

/// Maps of one and two axes have a depth of 1, those of one axis a width of 1, a height of 1 with windows side by side.
/// \tparam DEPTH, HEIGHT, WIDTH   input map
/// \tparam BLOCKS                 channel blocks; a window is sent block by block
/// \tparam BLOCK_FOLD             beats of one pixel of one block
/// \tparam READS                  neighbouring pixels of a beat that is read
/// \tparam WINDOWS                neighbouring windows of a beat that is sent
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
/// \tparam BY_WINDOW              whether a phase is that of a window, not of a row of them
///
/// Rows are counted plane after plane. Phase 0 reads the rows of the first output row; a later phase sends the windows
/// of an output row while it reads the rows that the next one adds. A phase lasts as long as the longer of the two.
/// BY_WINDOW the same with a window in place of an output row, and the pixels up to its last one in place of rows: pixels
/// are asked for as evenly as windows leave, and a window leaves once its last pixel is there.
///
/// With several windows the columns of a row stand in banks in turn, of which each window reads another one: column c in
/// bank c mod BANKS.
///
/// Invariant: in the phase of an output row (a window) the buffer holds every input row that its windows or later ones
/// read, up to what stands before (read_row, read_beat); input row r stands in slot
/// (r + PAD_FRONT * HEIGHT + PAD_TOP) mod ROWS. ROWS is large enough that no row is overwritten before its last window
/// was sent; for one plane, window height + STRIDE_H rows, because the rows that arrive are STRIDE_H at most.
template <int DEPTH, int HEIGHT, int WIDTH, int BLOCKS, int BLOCK_FOLD, int READS, int WINDOWS, int KERNEL_D,
          int KERNEL_H, int KERNEL_W, int STRIDE_D, int STRIDE_H, int STRIDE_W, int DILATION_D, int DILATION_H, int DILATION_W, int PAD_FRONT,
          int PAD_TOP, int PAD_LEFT, int OUT_DEPTH, int OUT_HEIGHT, int OUT_WIDTH, int ROWS, int GAP, bool BY_WINDOW,
          long long PAD, long TRIPS, bool BLOCK, class X, class Y>
void sliding_window(stream<X>& x_stream, stream<Y>& y_stream) {
#pragma HLS inline
  static_assert(X::LANES / READS == Y::LANES / WINDOWS, "a sliding window keeps the lanes of a pixel");
  typedef typename X::template Of<X::LANES / READS>::type Part;
  const bool SEVERAL = WINDOWS > 1;
  const int BANKS = SEVERAL ? WINDOWS * STRIDE_W : 1;
  const int PIXEL_BEATS = BLOCKS * BLOCK_FOLD;
  const int ROW_BEATS = (WIDTH + BANKS - 1) / BANKS * PIXEL_BEATS;  // places of a row in a bank
  const int SPAN_D = (KERNEL_D - 1) * DILATION_D + 1;
  const int SPAN_H = (KERNEL_H - 1) * DILATION_H + 1;
  const int SPAN_W = (KERNEL_W - 1) * DILATION_W + 1;
  const int PLACES = ROWS * ROW_BEATS;
  // Steps of addresses: to the rows of the next kernel row, kernel plane, output row, and output plane; to the beats of
  // the next kernel column and output column. With several windows a bank knows how far on a kernel column lies.
  const int KERNEL_ROW_STEP = DILATION_H % ROWS * ROW_BEATS;
  const int KERNEL_PLANE_STEP = DILATION_D * HEIGHT % ROWS * ROW_BEATS;
  const int ROW_STEP = STRIDE_H % ROWS * ROW_BEATS;
  const int PLANE_STEP = ((STRIDE_D * HEIGHT - (OUT_HEIGHT - 1) * STRIDE_H) % ROWS + ROWS) % ROWS * ROW_BEATS;
  const int KERNEL_COLUMN_STEP = (SEVERAL ? 0 : DILATION_W * PIXEL_BEATS) - (BLOCK_FOLD - 1);
  const int COLUMN_STEP = (SEVERAL ? 1 : STRIDE_W) * PIXEL_BEATS - (BLOCKS - 1) * BLOCK_FOLD;
  const int COLUMN_START = SEVERAL ? 0 : -PAD_LEFT * PIXEL_BEATS;
  // Coordinates of the input lie between minus the padding and the end of the last window.
  const int REACH_D = PAD_FRONT + OUT_DEPTH * STRIDE_D + SPAN_D;
  const int REACH_H = PAD_TOP + OUT_HEIGHT * STRIDE_H + SPAN_H;
  const int REACH_W = PAD_LEFT + OUT_WIDTH * STRIDE_W + SPAN_W;
  // Rows that the first output row needs; none where it lies in the padding, and then there is no phase 0.
  const int first = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(-PAD_FRONT, -PAD_TOP);

  detail::Banks<Part, PLACES, BLOCK, BANKS, BANKS> buffer;
  typename Counter<DEPTH * HEIGHT + 1>::type read_row = 0;                    // next input row
  Counter<WIDTH / READS * PIXEL_BEATS> read_beat;                             // next beat of it
  Counter<PIXEL_BEATS> read_fold;                                             // next beat of its pixels
  Counter<BANKS / READS> slot;                                                // which banks they stand in
  Counter<PLACES> read_at((PAD_FRONT * HEIGHT + PAD_TOP) % ROWS * ROW_BEATS); // its place
  // Rows to hold after this phase, and beats of the row after them.
  typename Counter<DEPTH * HEIGHT + 1>::type read_limit = BY_WINDOW && first > 0 ? first - 1 : first;
  typename Counter<WIDTH / READS * PIXEL_BEATS + 1>::type beat_limit =
      BY_WINDOW && first > 0 ? detail::columns_needed<WIDTH, SPAN_W>(-PAD_LEFT) * PIXEL_BEATS : 0;
  bool leading = first > 0;                                                   // phase 0
  bool sending = !leading;
  bool row_sent = false;
  bool starting = !leading;                                // the limit of the present phase is not known yet
  Counter<OUT_DEPTH> out_plane;
  Counter<OUT_HEIGHT> out_row;
  Counter<OUT_WIDTH / WINDOWS> out_column;
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
  typename Signed<REACH_W * PIXEL_BEATS>::type block_at = COLUMN_START, column_at = COLUMN_START;
  typename Counter<GAP + 1>::type idle = 0;
  for (long iteration = 0; iteration < TRIPS; ++iteration) {
#pragma HLS pipeline II=1 style=flp
    if (starting) {
      // The rows that the next output row adds; all that are left with the last one.
      int next = DEPTH * HEIGHT;
      if (BY_WINDOW && !out_column.last()) {
        next = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(window_z, window_y);
      } else if (!out_row.last()) {
        next = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(window_z, window_y + STRIDE_H);
      } else if (!out_plane.last()) {
        next = detail::rows_needed<DEPTH, HEIGHT, SPAN_D, SPAN_H>(window_z + STRIDE_D, -PAD_TOP);
      }
      const bool all = out_row.last() && out_plane.last() && (!BY_WINDOW || out_column.last());
      if (BY_WINDOW && !all && next > 0) {
        // A window needs no less than the one before it.
        read_limit = next - 1;
        const int begins = out_column.last() ? -PAD_LEFT : int(window_x) + STRIDE_W;
        beat_limit = detail::columns_needed<WIDTH, SPAN_W>(begins) * PIXEL_BEATS;
      } else if (next > read_limit) {
        read_limit = next;
        beat_limit = 0;
      }
      starting = false;
    }
    const bool was_idle = idle > 0;
    if (was_idle) --idle;
    if (!was_idle && (read_row < read_limit || (BY_WINDOW && read_row == read_limit && read_beat < beat_limit))) {
      buffer.write(x_stream.read(), slot, read_at);
      const bool row_ends = read_beat.next();
      if (row_ends) ++read_row;
      if (read_fold.next() && !slot.next() && !row_ends) {
        read_at.value -= PIXEL_BEATS - 1;  // the next pixels stand at the same places of other banks
      } else {
        read_at.next();
      }
      if (row_ends) slot = Counter<BANKS / READS>();
    }
    if (!was_idle && sending) {
      typedef detail::BankOf<BANKS, STRIDE_W, DILATION_W, PAD_LEFT> BankOf;
      const bool row_inside = z >= 0 && z < DEPTH && y >= 0 && y < HEIGHT;
      Part held[BANKS];
#pragma HLS array_partition variable=held complete
      const int place = int(row_at) + int(column_at);
      buffer.template read<BankOf, KERNEL_W, STRIDE_W, WIDTH, PIXEL_BEATS>(held, row_inside, x, kernel_x, place);
      Y value;
      for (int window = 0; window < WINDOWS; ++window) {
#pragma HLS unroll
        const int column = int(x) + window * STRIDE_W;
        const bool inside = row_inside && column >= 0 && column < WIDTH;
        Part part = held[0];
        for (int k = 0; k < (SEVERAL ? KERNEL_W : 0); ++k) {
#pragma HLS unroll
          if (kernel_x == k) part = held[BankOf::of(window, k)];
        }
        for (int lane = 0; lane < Part::LANES; ++lane) {
#pragma HLS unroll
          if (inside) {
            value.set(window * Part::LANES + lane, part.get(lane));
          } else {
            value.set(window * Part::LANES + lane, PAD);
          }
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
              window_x += STRIDE_W * WINDOWS;
              block_at += COLUMN_STEP;
              if (BY_WINDOW) sending = false;
            } else {
              window_x = -PAD_LEFT;
              block_at = COLUMN_START;
              row_sent = true;
              sending = false;
            }
          }
          row_at = plane_at;
        }
        x = window_x;
        column_at = block_at;
      }
    }
    const bool there = read_row > read_limit || (read_row == read_limit && (!BY_WINDOW || read_beat >= beat_limit));
    if (!was_idle && there && !sending) {
      // Next phase: windows of the next output row, or the next window of this one.
      if (!leading && row_sent) {
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
      row_sent = false;
      sending = true;
      starting = true;
      idle = GAP;
    }
  }
}

}  // namespace muxflow

#endif
