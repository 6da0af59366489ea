"""From a float model to the integer graph: the walk, and what each family of operators becomes."""
