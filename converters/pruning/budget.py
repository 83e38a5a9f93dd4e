"""How zeros are spread over the layers of a network: by how much each would lose, and what it would save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converters.pruning.allocate import allocate
from converters.pruning.layers import Layer
from converters.pruning.moments import Float64Array
from converters.pruning.pattern import Pattern
from sparsenet.errors import InputError, SparsenetError
from sparsenet.graph import FloatArray, Graph

#: Milliseconds of each node of a network, as it is, for one sample.
LayerMs = Callable[[Graph], Mapping[str, float]]
#: Sparsities that a layer may get.
LEVELS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)
#: How often a budget is corrected by what layers would take together, and how exactly it is met.
_ROUNDS, _NEAR = 6, 0.005

Sparsities = dict[str, float]


def by_weights(layers: Sequence[Layer], errors: Float64Array, sparsity: float, most: float) -> Sparsities:
    """The sparsity of each layer that leaves a share of all weights, no more than 1 - ``sparsity``.

    Args:
        layers: of a network.
        errors: of each at each of ``LEVELS``, (layers, levels).
        sparsity: of all of them.
        most: the most that a layer may get.
    """
    sizes = np.array([layer.size for layer in layers], np.float64)
    costs = _allowed(sizes[:, None] * (1.0 - np.array(LEVELS)), most)
    return _named(layers, allocate(costs, errors, max((1.0 - sparsity) * sizes.sum(), 1.0)))


def by_latency(
    graph: Graph,
    layers: Sequence[Layer],
    errors: Float64Array,
    pattern: Pattern,
    ms: float,
    layer_ms: LayerMs,
    most: float,
) -> Sparsities:
    """The sparsity of each layer with which the network takes no more than ``ms`` milliseconds.

    What the layers of a choice take together may differ from what ``level_ms`` tells of each, as their schedule does:
    the budget is corrected by that until it is met.

    Args:
        graph: dense.
        layers, errors, most: as of ``by_weights``.
        pattern: of the zeros.
        ms: of the whole network.
        layer_ms: what nodes take.

    Raises:
        InputError: it would take more at the highest sparsities.
    """
    costs, rest = level_ms(graph, layers, pattern, layer_ms, LEVELS)
    allowed = _allowed(costs, most)
    best: tuple[float, Sparsities] | None = None
    for _ in range(_ROUNDS):
        if allowed.min(axis=1).sum() > ms - rest:
            break
        chosen = allocate(allowed, errors, ms - rest)
        found = _named(layers, chosen)
        taken = sum(layer_ms(thinned(graph, found, layers, pattern)).values())
        if taken <= ms * (1 + _NEAR) and (best is None or taken > best[0]):
            best = taken, found
        if abs(taken - ms) <= ms * _NEAR:
            break
        rest = taken - float(costs[range(len(layers)), chosen].sum())
    if best is None:
        raise InputError(f"'{graph.name}' would take {ms:.4g} ms with no choice of zeros: allow more time")
    return best[1]


def measured_ms() -> LayerMs | None:
    """What this machine's table tells of the nodes of a network; None if nothing was measured here yet."""
    from sparsenet.latency.network import layer_ms

    try:
        return layer_ms()
    except SparsenetError:
        return None


def level_ms(
    graph: Graph, layers: Sequence[Layer], pattern: Pattern, layer_ms: LayerMs, sparsities: Sequence[float]
) -> tuple[Float64Array, float]:
    """Milliseconds of each layer at each sparsity, (layers, sparsities), and of all else at the first.

    What a layer takes at a sparsity is asked of the network with all layers at that.
    """
    tables = [
        layer_ms(thinned(graph, dict.fromkeys((layer.name for layer in layers), sparsity), layers, pattern))
        for sparsity in sparsities
    ]
    costs = np.array([[table.get(layer.name, 0.0) for table in tables] for layer in layers])
    return costs, sum(tables[0].values()) - float(costs[:, 0].sum())


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
    gone[scores.argsort(axis=None)[: round(sparsity * scores.size)]] = True
    lost = np.repeat(gone.reshape(scores.shape), sizes, axis=2)
    return layer.columns.weight(np.where(lost, np.float32(0), rows)).reshape(weight.shape)


def _allowed(costs: Float64Array, most: float) -> Float64Array:
    """Costs that are infinite where a level is more than a layer may get."""
    return np.where(np.array(LEVELS) > most + 1e-9, np.inf, costs)


def _named(layers: Sequence[Layer], chosen: Sequence[int]) -> Sparsities:
    return {layer.name: LEVELS[level] for layer, level in zip(layers, chosen, strict=True)}
