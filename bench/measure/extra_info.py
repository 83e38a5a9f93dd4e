"""What every benchmark notes beside its times."""

from __future__ import annotations

from functools import cache
from typing import Any

from bench.measure.versions import versions
from sparsenet import Engine, Graph
from sparsenet.graph.counts import count_layers, total

SEED = 0


def note(benchmark: Any, graph: Graph, *, sparsity: float, threads: int, batch: int, kernel: str) -> None:
    """Fill ``extra_info``: what ran, on what, with which versions."""
    counts = total(count_layers(graph))
    benchmark.extra_info.update(
        sparsity=sparsity, nnz=counts.nnz, weights=counts.weights, macs=counts.macs, nonzero_macs=counts.nonzero_macs,
        kernel=kernel, threads=threads, batch=batch, seed=SEED, **_versions(),
    )  # fmt: skip


def note_start(benchmark: Any, engine: Engine) -> None:
    """Add what came before steady state, and the engine's memory."""
    plan = engine.plan
    benchmark.extra_info.update(
        load_ms=engine.timings.load * 1e3, plan_ms=engine.timings.plan * 1e3,
        compile_ms=engine.timings.compile * 1e3, first_ms=engine.timings.first * 1e3,
        weight_bytes=int(plan.weights.nbytes), arena_bytes=int(plan.arena_bytes),
    )  # fmt: skip


@cache
def _versions() -> dict[str, str]:
    return versions()
