"""QONNX models: the reader, the operators of our domain, the execution that proofs compare with."""
