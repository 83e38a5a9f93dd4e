"""Are measured speed-ups right on a busy machine? ``python -m bench.noise``."""
