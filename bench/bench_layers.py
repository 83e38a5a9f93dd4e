"""pytest-benchmark over real layer shapes: dense and sparse engines side by side, a group per layer and sparsity."""

from __future__ import annotations

from typing import Any

import pytest

from bench.shapes import CONVOLUTIONS, LayerShape
from sparsenet import Engine


@pytest.mark.parametrize("kernels", ["dense", "sparse"])
@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("shape", CONVOLUTIONS, ids=lambda shape: shape.name.replace(" ", "-"))
def test_convolution(benchmark: Any, shape: LayerShape, sparsity: float, kernels: str) -> None:
    graph = shape.graph(sparsity)
    engine = Engine(graph, 1, sparse=kernels == "sparse")
    x = shape.example()
    engine(x)
    choice = engine.explain()[0]
    benchmark.group = f"{shape.name} at {sparsity:.0%}"
    benchmark.extra_info.update(
        sparsity=sparsity,
        nnz=choice.nnz,
        kernel=choice.kernel,
        threads=1,
        macs=choice.macs,
        reason=choice.reason,
    )
    benchmark(engine, x)
