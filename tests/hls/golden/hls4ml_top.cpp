#include <iostream>

#include "chain.h"
#include "parameters.h"


void chain(
    hls::stream<input_t> &frame_2,
    hls::stream<result_t> &layer8_out
) {

    // hls-fpga-machine-learning insert IO
    #pragma HLS INTERFACE axis port=frame_2,layer8_out 
    #pragma HLS DATAFLOW

    // hls-fpga-machine-learning insert load weights
#ifndef __SYNTHESIS__
    static bool loaded_weights = false;
    if (!loaded_weights) {
        loaded_weights = true;    }
#endif
    // ****************************************
    // NETWORK INSTANTIATION
    // ****************************************

    // hls-fpga-machine-learning insert layers

    hls::stream<muxflow::BipolarBeat<4>> layer2_out0("layer2_out0");
    #pragma HLS STREAM variable=layer2_out0 depth=2

    hls::stream<muxflow::BipolarBeat<1>> layer3_out0("layer3_out0");
    #pragma HLS STREAM variable=layer3_out0 depth=2

    hls::stream<muxflow::Beat<3, true, 1>> layer4_out0("layer4_out0");
    #pragma HLS STREAM variable=layer4_out0 depth=2

    hls::stream<muxflow::Beat<3, true, 2>> layer5_out0("layer5_out0");
    #pragma HLS STREAM variable=layer5_out0 depth=2

    hls::stream<muxflow::Beat<2, false, 2>> layer6_out0("layer6_out0");
    #pragma HLS STREAM variable=layer6_out0 depth=2

    hls::stream<muxflow::Beat<2, false, 4>> layer7_out0("layer7_out0");
    #pragma HLS STREAM variable=layer7_out0 depth=2

    muxflow_layers::unpack(frame_2, layer2_out0); // unpack

    muxflow_layers::x_to1(layer2_out0, layer3_out0); // x_to1

    muxflow_layers::n_input(layer3_out0, layer4_out0); // n_input

    muxflow_layers::t0_to2(layer4_out0, layer5_out0); // t0_to2

    muxflow_layers::frame(layer5_out0, layer6_out0); // frame

    muxflow_layers::t1_to4(layer6_out0, layer7_out0); // t1_to4

    muxflow_layers::pack(layer7_out0, layer8_out); // pack

}

