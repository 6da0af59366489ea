// Constant tables: plain integers for a simulation on native types, else words that hold the bits of a row.
#ifndef MUXFLOW_TABLE_HPP
#define MUXFLOW_TABLE_HPP

#include "muxflow/types.hpp"

namespace muxflow {

// Both forms are arrays of plain integers, so that a table of a million weights is data for every compiler and not a
// million constructor calls. A kernel reads a row at once.
//
// A row of up to 64 bits is one word, a wider one words of 36: what a block RAM gives in one cycle is 36, 18, 9, 4, 2 or
// 1 bits wide, by its depth, so that each word is a memory of its own without loss. The bits that the word's C++ type has
// beyond them are never read, and no tool keeps them.

/// ROWS rows of COLUMNS integers of BITS bits.
template <int BITS, bool SIGNED, int ROWS_, int COLUMNS_> struct Table {
  static const int ROWS = ROWS_;
  static const int COLUMNS = COLUMNS_;
  typedef typename Integer<BITS, SIGNED>::type compared;  // what a value of the data is compared with an element in
#ifdef MUXFLOW_NATIVE
  typedef typename PlainInteger<BITS, SIGNED>::type element;
  static const int WORDS = COLUMNS;
  typedef element word;
  typedef const word Data[ROWS][WORDS];
  static element get(Data& table, int row, int column) { return table[row][column]; }
#else
  typedef compared element;
  static const int WIDTH = BITS * COLUMNS;
  static const int WORD = WIDTH <= 64 ? WIDTH : BITS <= 36 ? 36 : 64;
  static const int WORDS = (WIDTH + WORD - 1) / WORD;
  typedef typename PlainWord<WORD>::type word;
  typedef const word Data[ROWS][WORDS];
  static element get(Data& table, int row, int column) {
#pragma HLS inline
    const int low = column * BITS % WORD;
    const int first = column * BITS / WORD;
#ifdef MUXFLOW_CSIM
    const uint64_t lower = uint64_t(table[row][first]) >> low;
    return low + BITS > WORD ? element(lower | uint64_t(table[row][first + 1]) << (WORD - low)) : element(lower);
#else
    ap_uint<2 * WORD> bits = table[row][first];
    if (low + BITS > WORD) bits.range(2 * WORD - 1, WORD) = ap_uint<WORD>(table[row][first + 1]);
    element value;
    value.range(BITS - 1, 0) = bits.range(low + BITS - 1, low);
    return value;
#endif
  }
#ifdef MUXFLOW_CSIM
  static void copy(Data& table, int row, detail::Packed<WIDTH>& to) {
    for (int i = 0; i < WORDS; ++i) to.set(i * WORD, i < WORDS - 1 ? WORD : WIDTH - i * WORD, table[row][i]);
  }
#endif
#endif
};

/// A table of ROWS integers for each of LANES lanes, an array each: every lane reads at an address of its own. A processor has
/// them side by side.
template <int BITS, bool SIGNED, int ROWS_, int LANES> struct LaneTable {
  static const int ROWS = ROWS_;
  static const int COLUMNS = LANES;
#ifdef MUXFLOW_NATIVE
  typedef Table<BITS, SIGNED, ROWS, LANES> Lanes;
  typedef typename Lanes::Data Data;
  static typename Lanes::element get(Data& table, int row, int lane) { return Lanes::get(table, row, lane); }
#else
  typedef Table<BITS, SIGNED, ROWS, 1> Lanes;
  typedef typename Lanes::Data Data[LANES];
  static typename Lanes::element get(Data& table, int row, int lane) {
#pragma HLS inline
    return Lanes::get(table[lane], row, 0);
  }
#endif
  typedef typename Lanes::element element;
};

/// ROWS rows of COLUMNS integers that are -1 or +1, of one bit each: set for +1.
#ifdef MUXFLOW_NATIVE
template <int ROWS, int COLUMNS> struct BipolarTable : Table<2, true, ROWS, COLUMNS> {};
#else
template <int ROWS, int COLUMNS> struct BipolarTable : Table<1, false, ROWS, COLUMNS> {
  typedef Table<1, false, ROWS, COLUMNS> Bits;
  typedef ap_int<2> element;
  static element get(typename Bits::Data& table, int row, int column) {
#pragma HLS inline
    return Bits::get(table, row, column) ? 1 : -1;
  }
};
#endif

}  // namespace muxflow

#endif
