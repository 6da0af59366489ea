"""QONNX models: the reader, the operators of Muxflow's domain, the execution that proofs compare with."""
