"""Runs of ``python -m bench.against`` as one page of Markdown: ``python -m bench.speed_table``."""
