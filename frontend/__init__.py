"""Layers and training on one side, importers that end in the integer graph on the other."""
