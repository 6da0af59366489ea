// The fields that the vendor's header gives an AXI-Stream word.
#ifndef MUXFLOW_SYNTHESIS_AP_AXI_SDATA_H
#define MUXFLOW_SYNTHESIS_AP_AXI_SDATA_H
#include <ap_int.h>
template <int D, int U, int TI, int TD> struct ap_axiu {
  ap_uint<D> data;
  ap_uint<D / 8> keep;
  ap_uint<D / 8> strb;
  ap_uint<1> last;
};
#endif
