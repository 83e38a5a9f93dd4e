"""Where sparse kernels start to pay: ``python -m bench.break_even``."""
