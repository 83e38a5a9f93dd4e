"""Zeros spread by a simple rule, as many as make a network take as long as another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from converters.pruning.layers import Layer, prepared
from converters.pruning.pattern import Pattern
from converters.pruning.thinned import thinned
from sparsenet.graph import Graph

#: The most zeros that are tried, how often, and how near a time is to be to the wanted one.
MOST, TRIES, NEAR = 0.98, 10, 0.005
#: The same share of every layer, or the smallest weights wherever they are.
Rule = Literal["layer", "magnitude"]
#: Times as fast as the dense network, of a network.
Speedup = Callable[[Graph], float]


def as_fast_as(
    wanted: float, graph: Graph, rule: Rule, skip: Iterable[str], speedup: Speedup
) -> dict[str, float]:
    """The sparsity of each layer with which the network is as fast as wanted, by bisection.

    Args:
        wanted: times as fast as the dense network.
        graph: dense.
        rule: says which weights are zero.
        skip: layers that stay dense, as of ``converters.prune``.
        speedup: measures a network.
    """
    dense, layers = prepared(graph, skip)
    low, high = 0.0, MOST
    best, error = dict[str, float](), np.inf
    for _ in range(TRIES):
        share = (low + high) / 2
        sparsities = _sparsities(dense, layers, rule, share)
        found = speedup(thinned(dense, sparsities, layers, Pattern()))
        if abs(found / wanted - 1) < error:
            best, error = sparsities, abs(found / wanted - 1)
        if error < NEAR:
            break
        low, high = (share, high) if found < wanted else (low, share)
    return best


def _sparsities(graph: Graph, layers: Sequence[Layer], rule: Rule, share: float) -> dict[str, float]:
    if rule == "layer":
        return dict.fromkeys((layer.name for layer in layers), share)
    sizes = {layer.name: np.abs(graph.constants[layer.weight]) for layer in layers}
    limit = np.quantile(np.concatenate([weights.ravel() for weights in sizes.values()]), share)
    return {name: float(np.mean(weights < limit)) for name, weights in sizes.items()}
