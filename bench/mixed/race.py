"""One network quantized in part, and in float32, timed in turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from bench.mixed.ways import in_part
from sparsenet import Engine, Graph
from sparsenet.graph.feeds import random_inputs
from sparsenet.graph.integer import integer_nodes
from sparsenet.timing import interleaved


@dataclass(frozen=True)
class Mixed:
    """A network of which a part is quantized, one thread.

    Attributes:
        kept: the layers that stay float32.
        nodes, integers: all nodes, and those of them in integers.
        float32_ms, mixed_ms: medians of processor time.
        ratio: how many times as long as float32 it takes; None if the machine is too noisy to tell.
    """

    network: str
    sparsity: float
    kept: str
    nodes: int
    integers: int
    float32_ms: float
    mixed_ms: float
    ratio: float | None


def race(network: str, sparsity: float, graph: Graph, way: str, rounds: int) -> Mixed | None:
    """Both networks' time of one inference; None if there is no such layer in the network."""
    quantized = in_part(graph, way)
    if quantized is None:
        return None
    feeds = random_inputs(graph.inputs, 1, 0)
    engines = {"float32": Engine(graph, threads=1), "mixed": Engine(quantized, threads=1)}
    taken = interleaved({name: partial(engine.run, feeds) for name, engine in engines.items()}, rounds)
    for engine in engines.values():
        engine.close()
    integers = integer_nodes(quantized, quantized.shapes())
    ratio = taken.ratio("mixed", "float32")
    one, other = (
        1e3 * float(sorted(seconds)[len(seconds) // 2]) for seconds in taken.seconds("float32", "mixed")
    )
    return Mixed(network, sparsity, way, len(quantized.nodes), len(integers), one, other, ratio.told)
