"""Image compression at a constant rate: a picture in tiles through the accelerator, a full-frame decoder on the host."""
