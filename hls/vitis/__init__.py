"""The HLS project, its test bench and its C simulation."""
