"""Another package that adds an op, its kernel, a reader and a target to Muxflow; nothing of Muxflow knows it."""
