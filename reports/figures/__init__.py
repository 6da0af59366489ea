"""Reports as figures for papers, and each figure as data."""
