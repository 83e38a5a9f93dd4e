"""GPU results held against the NumPy oracle, for whatever graph a test makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsenet import Engine, Graph, reference
from tests.sparsenet.against_reference import random_feeds
from tests.sparsenet.one_node import one_node_graph


def assert_gpu_matches(
    graph: Graph,
    *,
    batch: int = 1,
    sparse: bool = True,
    tolerance: float = 3e-6,
    feeds: dict[str, np.ndarray] | None = None,
) -> Engine:
    """Run ``graph`` in both; every output within ``tolerance`` of the oracle's largest value."""
    feeds = feeds or random_feeds(graph, batch)
    expected = reference.run(graph, feeds)
    engine = Engine(graph, sparse=sparse, device="cuda")
    got = engine.run(feeds)
    for name, want in expected.items():
        assert got[name].shape == want.shape
        error = np.abs(got[name] - want).max() / max(float(np.abs(want).max()), 1e-6)
        assert error < tolerance, f"{name}: {error:.2e} with {[d.kernel for d in engine.explain()]}"
    return engine


def pruned(shape: tuple[int, ...], zeros: float, seed: int = 0) -> np.ndarray:
    """Standard-normal weights with about this share of zeros."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(shape).astype(np.float32)
    weight[rng.random(shape) < zeros] = 0
    return weight


def conv_graph(weight: np.ndarray, x: tuple[int, ...], *, bias: bool = True, **attrs: Any) -> Graph:
    """One convolution of images of shape ``x`` (batch first)."""
    constants: Mapping[str, np.ndarray] = {"w": weight}
    if bias:
        constants = {"w": weight, "b": np.linspace(-1, 1, weight.shape[0]).astype(np.float32)}
    return one_node_graph("conv2d", {"x": x}, constants, attrs)
