"""Networks of the zoo in several engines, at several sparsities: ``python -m bench.against``."""
