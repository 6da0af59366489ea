"""Loaders of image data sets in their original file formats; nothing is downloaded. One file a data set."""
