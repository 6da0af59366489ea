"""Keras models, read in a process of their own: `v2` with QKeras, `v3` with HGQ2."""
