"""Graphs with grids for every tensor, from the least and the largest number that random inputs give."""

from __future__ import annotations

import numpy as np

from sparsenet import Graph, reference
from sparsenet.graph.ops import OPS
from sparsenet.graph.ops.table import value_inputs
from sparsenet.graph.quantization import Quantization
from tests.sparsenet.against_reference import random_feeds


def quantized(graph: Graph) -> Graph:
    """``graph`` with weights on grids, one scale per channel, and a grid for every tensor.

    What an op only moves has the grid of what it moves. Grids reach as far as finite numbers do: the maximum of a
    window that sees padding alone is -infinity.
    """
    graph = graph.copy()
    graph.quantization = {}
    values = reference.run(graph, random_feeds(graph, seed=1), keep="all")
    group = {name: name for name in values}
    for node in graph.nodes:
        if OPS[node.op].integer == "choice":
            together = {group[name] for name in (*value_inputs(node), node.output) if name in group}
            group = {name: min(together) if own in together else own for name, own in group.items()}
    for name in values:
        finite = [array[np.isfinite(array)] for other, array in values.items() if group[other] == group[name]]
        low = min(float(array.min(initial=0)) for array in finite)
        high = max(low + 1e-6, *(float(array.max(initial=0)) for array in finite))
        scale = (high - low) / 255
        zero = min(255, max(0, round(-low / scale)))
        graph.quantization[name] = Quantization.of_activations(scale, zero)
    for _, name, weight in graph.weights():
        largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        grid = Quantization.of_weights(np.where(largest > 0, largest, 1) / 127)
        graph.quantization[name], graph.constants[name] = grid, grid.numbers(grid.round(weight))
    graph.verify()
    return graph
