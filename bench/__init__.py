"""One laboratory: subjects are measured in engines, in turn, and shown as tables; ``docs/benchmark.md`` leads around.

``sparsenet bench`` and ``sparsenet predict`` are here, every ``python -m bench.…``, and what ``pytest bench/…`` runs.
"""
