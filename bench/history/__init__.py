"""How fast a network was, record after record: ``python -m bench.history``."""
