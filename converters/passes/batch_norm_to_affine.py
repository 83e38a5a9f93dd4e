"""Batch normalisation with fixed statistics is one multiply and one add per channel."""

from __future__ import annotations

import numpy as np

from converters.passes.rewiring import constants_of, set_constant
from sparsenet.graph import Graph
from sparsenet.ops import attributes


def batch_norm_to_affine(graph: Graph) -> Graph:
    """Replace ``batch_norm`` by ``affine``.

    Exact: γ·(x - μ)/√(σ² + ε) + β = x·scale + shift with scale = γ/√(σ² + ε) and shift = β - μ·scale (Ioffe and
    Szegedy 2015, algorithm 2); both are computed in float64 and rounded once.
    """
    graph = graph.copy()
    for node in graph.nodes:
        statistics = constants_of(graph, node.inputs[1:]) if node.op == "batch_norm" else None
        if statistics is None:
            continue
        gamma, beta, mean, variance = statistics
        with np.errstate(all="ignore"):  # a variance below zero gives NaN, as it did
            scale = gamma / np.sqrt(variance + attributes(node)["eps"])
            shift = beta - mean * scale
        node.op, node.attrs, node.inputs = "affine", {}, node.inputs[:3]
        set_constant(graph, node, 1, scale, f"{node.name}.scale")
        set_constant(graph, node, 2, shift, f"{node.name}.shift")
    graph.drop_unused_constants()
    return graph
