"""A network with zeros and without care: what tells how fast it will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.pruning.layers import Layer
from converters.pruning.pattern import Pattern
from sparsenet.graph import FloatArray, Graph


def thinned(
    graph: Graph, sparsities: Mapping[str, float], layers: Sequence[Layer], pattern: Pattern
) -> Graph:
    """The network without the smallest weights of each layer: as fast as if they had been chosen with care."""
    thin = graph.copy()
    for layer in layers:
        weight = graph.constants[layer.weight]
        if sparsities.get(layer.name, 0.0) > 0:
            thin.constants[layer.weight] = _smallest_gone(weight, layer, pattern, sparsities[layer.name])
    return thin


def _smallest_gone(weight: FloatArray, layer: Layer, pattern: Pattern, sparsity: float) -> FloatArray:
    rows, starts = layer.columns.rows(weight), pattern.starts(layer.columns)
    sizes = np.diff([*starts, layer.columns.count])
    scores = np.add.reduceat(np.square(rows), starts, axis=2) / sizes
    gone = np.zeros(scores.size, np.bool_)
    count = round(sparsity * scores.size)
    gone[scores.argpartition(min(count, scores.size - 1), axis=None)[:count]] = True
    lost = np.repeat(gone.reshape(scores.shape), sizes, axis=2)
    return layer.columns.weight(np.where(lost, np.float32(0), rows)).reshape(weight.shape)
