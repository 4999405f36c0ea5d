"""Runs of one and of several ranks, for `benchmarks.ddp` and `benchmarks.cost_model`."""
