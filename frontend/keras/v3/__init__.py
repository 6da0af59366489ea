"""Keras 3 with HGQ2; runs in the process that holds both."""
