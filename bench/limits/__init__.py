"""What holds the sparse kernels back: ``python -m bench.limits``."""
