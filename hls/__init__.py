"""C++ kernels, the HLS project writer and the C simulation."""
