"""Benchmarks and checks on a GPU; see ``__main__``."""
