// The reference ap_int.h, and of the vendor's half-precision type the name, which FINN's readers of .npy files mention.
#ifndef MUXFLOW_FINN_AP_INT_H
#define MUXFLOW_FINN_AP_INT_H

#include_next <ap_int.h>

struct half {};

#endif
