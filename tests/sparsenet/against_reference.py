"""Engine results held against the NumPy oracle, for whatever graph a test makes."""

from __future__ import annotations

import numpy as np

from sparsenet import Engine, Graph, reference


def random_feeds(graph: Graph, batch: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Standard-normal inputs for ``graph``."""
    rng = np.random.default_rng(seed)
    return {
        info.name: rng.standard_normal((batch, *[int(d or 0) for d in info.shape[1:]])).astype(np.float32)
        for info in graph.inputs
    }


def assert_engine_matches(
    graph: Graph, *, sparse: bool = True, threads: int = 1, batch: int = 1, tolerance: float = 2e-6
) -> Engine:
    """Run ``graph`` in both; every output within ``tolerance`` of the oracle's largest value."""
    feeds = random_feeds(graph, batch)
    expected = reference.run(graph, feeds)
    engine = Engine(graph, threads, sparse=sparse)
    # Twice: the second run meets an arena full of the first one's leftovers.
    for _ in range(2):
        got = engine.run(feeds)
        for name, want in expected.items():
            assert got[name].shape == want.shape
            error = np.abs(got[name] - want).max() / max(float(np.abs(want).max()), 1e-6)
            assert error < tolerance, f"{name}: {error:.2e} with {[d.kernel for d in engine.explain()]}"
    engine.close()
    return engine
