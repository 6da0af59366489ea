"""Proof that executions of one network give the same integers: what an execution is, how all are compared, the ladder."""
