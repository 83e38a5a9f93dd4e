"""From nothing to the first answer, in processes of their own: ``python -m bench.start_up``."""
