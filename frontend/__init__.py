"""Layers and training on one side, importers that end in the integer graph on the other."""

KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
"""Files that Keras writes; both of its generations write all of them."""
