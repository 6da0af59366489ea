"""Layers and training on one side, readers and the importer that end in the integer graph on the other."""
