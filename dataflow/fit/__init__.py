"""From a graph to a design on a device: folds, schedule, timing, FIFO depths, memories."""
