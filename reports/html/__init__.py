"""Reports as pages: cards, charts, the drawing of the dataflow, tables."""
