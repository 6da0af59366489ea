"""FINN-ONNX models: what FINN's own operators become."""

OPERATORS = frozenset(("MultiThreshold", "XnorPopcountMatMul", "Im2Col", "MaxPoolNHWC"))
"""What FINN's conversion and streamlining put into a QONNX model."""
