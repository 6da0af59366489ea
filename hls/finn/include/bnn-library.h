// Stands in for finn-hlslib's header of this name, which FINN's generated files include and Muxflow's nodes do not need: it makes
// a C++ simulation of them possible where finn-hlslib is not installed.
#include <ap_int.h>
#include <hls_stream.h>
