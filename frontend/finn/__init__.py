"""FINN-ONNX models: what FINN's own operators become."""
