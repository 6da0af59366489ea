"""Integer graphs that Muxflow saved."""
