"""Benchmarks of the core: time and memory beside other ways to compute the same result."""
