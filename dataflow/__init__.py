"""The heart: streams, ops, the integer graph, passes, folding and memory plan. No torch, TensorFlow or ONNX here."""
