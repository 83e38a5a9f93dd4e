"""pytest-benchmark over whole networks of the zoo, a group per network and setting, an entry for each engine installed.

pytest bench/bench_models.py -k "mobilenetv1 and (ours or ort)" --sparsities 0,0.9 --thread-counts 1,2

For ratios prefer ``sparsenet bench`` or ``python -m bench.against``, whose engines take turns within one run.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import pytest

from bench.engines import ENGINES, EngineMissing, Network
from bench.measure.agreement import check_outputs
from bench.measure.extra_info import SEED, note, note_start
from bench.subjects.networks import build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import Graph

NAMES = ("maskcnn", "minixception-128-256", "mobilenetv1", "resnet50")


@cache
def dense_graph(name: str) -> Graph:
    return build_graph(name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMES)
def test_model(benchmark: Any, name: str, engine: str, sparsity: float, threads: int, batch: int) -> None:
    graph = sparsify(dense_graph(name), sparsity)
    network = Network(graph, batch)
    x = network.example(SEED)
    try:
        start = time.perf_counter()
        session = ENGINES[engine](network, threads)
        prepared = time.perf_counter()
        got = session(x)
        first = time.perf_counter()
    except EngineMissing as missing:
        network.close()
        pytest.skip(str(missing))
    reference = ENGINES["dense"](network, threads)
    check_outputs({"dense": reference(x), engine: got}, f"{name} at {sparsity:.0%}")
    reference.close()
    note(benchmark, graph, sparsity=sparsity, threads=threads, batch=batch, kernel=engine)
    benchmark.extra_info.update(prepare_ms=(prepared - start) * 1e3)
    if session.engine is not None:
        note_start(benchmark, session.engine)
    benchmark.extra_info.update(first_ms=(first - prepared) * 1e3)
    benchmark.group = f"{name} at {sparsity:.0%}, {threads} thread(s), batch {batch}"
    try:
        benchmark.pedantic(session, args=(x,), rounds=20, warmup_rounds=2)
    finally:
        session.close()
        network.close()
