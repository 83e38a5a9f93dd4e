"""One layer with sparse kernels against the same layer with dense ones."""

from __future__ import annotations

from functools import partial

import numpy as np

from bench.engines.forced import forced_engine
from bench.measure.agreement import check_outputs
from bench.subjects.layers import LayerShape
from sparsenet.timing import clock_for, interleaved


def speedup(layer: LayerShape, sparsity: float, threads: int, rounds: int) -> float | None:
    """Median of paired ratios dense ÷ sparse, sparse kernels forced; None if too noisy to tell.

    Raises:
        SparsenetError: they do not agree.
    """
    graph, x = layer.graph(sparsity), layer.example()
    engines = {kernels: forced_engine(graph, kernels, threads) for kernels in ("dense", "sparse")}
    check_outputs({name: [np.asarray(engine(x))] for name, engine in engines.items()}, layer.name)
    calls = {name: partial(engine, x) for name, engine in engines.items()}
    ratio = interleaved(calls, rounds, clock_for(threads)).ratio("dense", "sparse")
    for engine in engines.values():
        engine.close()
    return ratio.told
