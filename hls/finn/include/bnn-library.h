// Stands in for finn-hlslib's header of this name, which FINN's generated files include and ours do not need: it makes
// a C++ simulation of our nodes possible where finn-hlslib is not installed.
#include <ap_int.h>
#include <hls_stream.h>
