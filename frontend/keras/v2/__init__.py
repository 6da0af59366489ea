"""Keras 2 with QKeras; runs in the process that holds TensorFlow."""
