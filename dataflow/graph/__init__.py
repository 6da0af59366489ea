"""The integer graph: streams, nodes, invariants, passes."""
