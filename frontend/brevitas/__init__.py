"""Brevitas networks: the export to QONNX, and their execution in torch."""
