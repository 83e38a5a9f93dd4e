"""Convolutions in 8 bits alone, on maps that are one line of pixels: ``python -m bench.quads``."""
