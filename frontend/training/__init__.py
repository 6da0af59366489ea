"""Layers, quantizers, networks, data sets and trainers in torch; `keras` holds those in Keras 2."""
