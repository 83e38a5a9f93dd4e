"""What a network really takes, to hold a prediction against."""

from __future__ import annotations

import time

import numpy as np

from bench.sparsity import sparsify
from sparsenet import Engine, Graph
from sparsenet.commands.inputs import random_inputs
from sparsenet.graph import FloatArray

ROUNDS, TURNS = 15, 3


def measured_ms(graph: Graph, sparsity: float) -> float:
    """Processor milliseconds of one image on one thread, with ``sparsity`` imposed."""
    engine = Engine(sparsify(graph, sparsity), 1)
    x = random_inputs(engine.inputs, 1, 0)[engine.inputs[0].name]
    try:
        return engine_ms(engine, x)
    finally:
        engine.close()


def engine_ms(engine: Engine, x: FloatArray) -> float:
    """Processor milliseconds of one run: the median over rounds of the least of some runs."""
    engine(x)
    rounds = []
    for _ in range(ROUNDS):
        turns = []
        for _ in range(TURNS):
            start = time.thread_time()
            engine(x)
            turns.append(time.thread_time() - start)
        rounds.append(min(turns))
    return float(np.median(rounds)) * 1e3
