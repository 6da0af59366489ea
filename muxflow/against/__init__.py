"""Other tools' designs of the same network, priced by Muxflow's cost model and cycle simulation."""
