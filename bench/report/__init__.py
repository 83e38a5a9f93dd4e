"""The zoo on this machine, as one page: ``python -m bench.report -o bench-out``."""
