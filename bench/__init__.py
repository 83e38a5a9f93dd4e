"""Benchmarks: ``make bench`` for pytest-benchmark, ``python -m bench.break_even`` for the kernel-choice sweep."""
