#ifndef PARAMETERS_H_
#define PARAMETERS_H_

#include "ap_fixed.h"
#include "ap_int.h"

#include "nnet_utils/nnet_code_gen.h"
#include "nnet_utils/nnet_helpers.h"
// hls-fpga-machine-learning insert includes
#include "muxflow/hls4ml/array.h"
#include "muxflow/scale.hpp"
#include "muxflow/threshold.hpp"
#include "muxflow/width_converter.hpp"

// hls-fpga-machine-learning insert weights


// hls-fpga-machine-learning insert layer-config
// unpack
namespace muxflow_layers {
static void unpack(muxflow::stream<::input_t>& x0, muxflow::stream<muxflow::BipolarBeat<4>>& y0) {
  muxflow::array_to_beats<12>(x0, y0);
}
}  // namespace muxflow_layers

// x_to1
namespace muxflow_layers {
static void x_to1(muxflow::stream<muxflow::BipolarBeat<4>>& x0, muxflow::stream<muxflow::BipolarBeat<1>>& y0) {
  muxflow::narrow</*BEATS*/ 3, /*FACTOR*/ 4, /*PIXELS*/ 1>(x0, y0);
}
}  // namespace muxflow_layers

// n_input
namespace muxflow_layers {
// 2 values in [2, 3], 2 bits each
static const muxflow::Table<2, false, 2, 1>::word n_input_factors[2][muxflow::Table<2, false, 2, 1>::WORDS] = {
#ifdef MUXFLOW_NATIVE
  {2},
  {3}
#else
  {0x2},
  {0x3}
#endif
};
static void n_input(muxflow::stream<muxflow::BipolarBeat<1>>& x0, muxflow::stream<muxflow::Beat<3, true, 1>>& y0) {
  muxflow::scale</*ROUNDS*/ 6, /*ROWS*/ 2, /*SHARE*/ 1, /*BY_PIXEL*/ false, muxflow::Table<2, false, 2, 1>>(n_input_factors, x0, y0);
}
}  // namespace muxflow_layers

// t0_to2
namespace muxflow_layers {
static void t0_to2(muxflow::stream<muxflow::Beat<3, true, 1>>& x0, muxflow::stream<muxflow::Beat<3, true, 2>>& y0) {
  muxflow::widen</*BEATS*/ 6, /*FACTOR*/ 2, /*PIXELS*/ 1>(x0, y0);
}
}  // namespace muxflow_layers

// frame
namespace muxflow_layers {
// 4 values in [-3, 3], 3 bits each
static const muxflow::Table<3, true, 1, 4>::word frame_thresholds[1][muxflow::Table<3, true, 1, 4>::WORDS] = {
#ifdef MUXFLOW_NATIVE
  {-2, 0, 2, 3}
#else
  {0x686}
#endif
};
// 2 values in [0, 1], 1 bit each
static const muxflow::Table<1, false, 1, 2>::word frame_falling[1][muxflow::Table<1, false, 1, 2>::WORDS] = {
#ifdef MUXFLOW_NATIVE
  {0, 1}
#else
  {0x2}
#endif
};
static void frame(muxflow::stream<muxflow::Beat<3, true, 2>>& x0, muxflow::stream<muxflow::Beat<2, false, 2>>& y0) {
  muxflow::threshold</*PIXELS*/ 6, /*CHANNEL_FOLD*/ 1, /*STEPS*/ 2, /*BASE*/ 0, /*JUMP*/ 1, muxflow::Table<3, true, 1, 4>, muxflow::Table<1, false, 1, 2>>(frame_thresholds, frame_falling, x0, y0);
}
}  // namespace muxflow_layers

// t1_to4
namespace muxflow_layers {
static void t1_to4(muxflow::stream<muxflow::Beat<2, false, 2>>& x0, muxflow::stream<muxflow::Beat<2, false, 4>>& y0) {
  muxflow::widen</*BEATS*/ 3, /*FACTOR*/ 2, /*PIXELS*/ 1>(x0, y0);
}
}  // namespace muxflow_layers

// pack
namespace muxflow_layers {
static void pack(muxflow::stream<muxflow::Beat<2, false, 4>>& x0, muxflow::stream<::result_t>& y0) {
  muxflow::beats_to_array<12>(x0, y0);
}
}  // namespace muxflow_layers



#endif
