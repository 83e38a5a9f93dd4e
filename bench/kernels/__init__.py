"""Every kernel family alone, at the sizes where networks use it: ``python -m bench.kernels``."""
