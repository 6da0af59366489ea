// Stands in for FINN's header of this name, which needs the vendor's hls_vector.h; Muxflow's nodes have no such streams.
