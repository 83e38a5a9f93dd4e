"""Several threads beside other load: ``python -m bench.threads``."""
