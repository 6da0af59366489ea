"""Muxflow: streaming FPGA accelerators for ultra-low-bit networks."""
