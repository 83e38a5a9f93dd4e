"""A network quantized in part, and in float32, timed in turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from sparsenet import Engine, Graph
from sparsenet.graph.feeds import random_inputs
from sparsenet.graph.integer import integer_nodes
from sparsenet.timing import interleaved


@dataclass(frozen=True)
class Mixed:
    """A network of which a part is quantized, one thread.

    Attributes:
        part: what stays float32.
        nodes, integers: all nodes, and those of them in integers.
        float32_ms, mixed_ms: medians of processor time.
        ratio: how many times as long as float32 it takes; None if the machine is too noisy to tell.
    """

    network: str
    sparsity: float
    part: str
    nodes: int
    integers: int
    float32_ms: float
    mixed_ms: float
    ratio: float | None


def race(network: str, sparsity: float, part: str, graph: Graph, quantized: Graph, rounds: int) -> Mixed:
    """Both networks' time of one inference."""
    feeds = random_inputs(graph.inputs, 1, 0)
    engines = {"float32": Engine(graph, threads=1), "mixed": Engine(quantized, threads=1)}
    taken = interleaved({name: partial(engine.run, feeds) for name, engine in engines.items()}, rounds)
    for engine in engines.values():
        engine.close()
    one, other = (1e3 * float(np.median(seconds)) for seconds in taken.seconds("float32", "mixed"))
    integers = len(integer_nodes(quantized, quantized.shapes()))
    ratio = taken.ratio("mixed", "float32").told
    return Mixed(network, sparsity, part, len(quantized.nodes), integers, one, other, ratio)
