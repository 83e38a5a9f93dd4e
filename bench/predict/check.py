"""What a network really takes, to hold a prediction against."""

from __future__ import annotations

import numpy as np

from bench.measure.samples import least_of_neighbours
from bench.predict.work import with_zeros
from bench.subjects.inputs import example
from sparsenet import Engine, Graph
from sparsenet.graph import FloatArray
from sparsenet.timing import interleaved

ROUNDS, TURNS = 15, 3


def measured_ms(graph: Graph, sparsity: float, block: str = "1x1") -> float:
    """Processor milliseconds of one image on one thread, with ``sparsity`` imposed."""
    engine = Engine(with_zeros(graph, sparsity, block), 1)
    x = example(engine.inputs)
    try:
        return engine_ms(engine, x)
    finally:
        engine.close()


def engine_ms(engine: Engine, x: FloatArray) -> float:
    """Processor milliseconds of one run: the median over rounds of the least of some runs."""
    (seconds,) = interleaved({"engine": lambda: engine(x)}, ROUNDS * TURNS).seconds("engine")
    return float(np.median(least_of_neighbours(seconds, ROUNDS))) * 1e3
