"""pytest-benchmark over whole networks of the zoo, a group per network and setting, an entry for each engine installed.

pytest bench/bench_models.py -k "mobilenetv1 and (ours or ort)" --sparsities 0,0.9 --thread-counts 1,2

For ratios prefer ``sparsenet bench`` or ``python -m bench.against``, whose engines take turns within one run.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from bench.engines import ENGINES
from bench.measure.contest import Settings, contest
from bench.measure.extra_info import SEED, note, note_start
from bench.subjects.networks import USUAL_MODELS, build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import Graph


@cache
def dense_graph(name: str) -> Graph:
    """The network as ``sparsify`` gets it, built once."""
    return build_graph(name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", USUAL_MODELS)
def test_model(benchmark: Any, name: str, engine: str, sparsity: float, threads: int, batch: int) -> None:
    """A network in an engine, held against our dense kernels first."""
    graph, skipped = sparsify(dense_graph(name), sparsity), dict[str, str]()
    settings = Settings(tuple(dict.fromkeys(("dense", engine))), threads, batch, seed=SEED)
    with contest(graph, settings, skipped, f"{name} at {sparsity:.0%}") as field:
        if engine in skipped:
            pytest.skip(skipped[engine])
        entrant = field.entrants[engine]
        note(benchmark, graph, sparsity=sparsity, threads=threads, batch=batch, kernel=engine)
        if entrant.session.engine is not None:
            note_start(benchmark, entrant.session.engine)
        benchmark.extra_info.update(prepare_ms=entrant.prepare * 1e3, first_ms=entrant.first * 1e3)
        benchmark.group = f"{name} at {sparsity:.0%}, {threads} thread(s), batch {batch}"
        benchmark.pedantic(entrant.session, args=(field.x,), rounds=20, warmup_rounds=2)
