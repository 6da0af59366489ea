"""Reports as tables for papers, in LaTeX."""
