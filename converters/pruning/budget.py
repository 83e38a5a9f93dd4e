"""How zeros are spread over the layers of a network when a budget says how many weights are left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.pruning.allocate import allocate
from converters.pruning.layers import Layer
from converters.pruning.moments import Float64Array

#: Sparsities that a layer may get.
LEVELS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97)

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
    costs = allowed(sizes[:, None] * (1.0 - np.array(LEVELS)), most)
    return named(layers, allocate(costs, errors, max((1.0 - sparsity) * sizes.sum(), 1.0)))


def allowed(costs: Float64Array, most: float) -> Float64Array:
    """Costs, (layers, levels), infinite where a level is more than a layer may get."""
    return np.where(np.array(LEVELS) > most + 1e-9, np.inf, costs)


def named(layers: Sequence[Layer], chosen: Sequence[int]) -> Sparsities:
    """The sparsity of each layer, given the number of its level."""
    return {layer.name: LEVELS[level] for layer, level in zip(layers, chosen, strict=True)}
