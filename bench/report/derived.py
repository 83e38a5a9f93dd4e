"""Figures that follow from what was measured: break-even points, the atlas of layers, scaling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

from bench.kernels.rates import Rate
from sparsenet.latency.kinds import is_sparse


def break_even(points: Iterable[tuple[float, float]]) -> float | None:
    """The sparsity from which the speed-up stays above 1 beyond its interval, between points by the logarithm.

    Args:
        points: (sparsity, lower end of the interval of the speed-up).

    Returns:
        None if even the last point is not above 1; the first sparsity if all are.
    """
    ordered = sorted(points)
    if not ordered or ordered[-1][1] <= 1:
        return None
    for (low, before), (high, after) in reversed(list(pairwise(ordered))):
        if before <= 1 < after:
            return low + (high - low) * -log(before) / (log(after) - log(before))
    return ordered[0][0]


@dataclass(frozen=True)
class AtlasCell:
    """The fastest kernel family for a layer at a density, and its gain over the fastest dense one."""

    layer: str
    density: float
    family: str
    gain: float


def atlas(rates: Sequence[Rate]) -> list[AtlasCell]:
    """One cell per layer and density for which sparse kernels were timed; dense kernels take part in each."""
    dense: dict[str, Rate] = {}
    for rate in rates:
        if rate.density == 1.0 and (rate.layer not in dense or rate.ms < dense[rate.layer].ms):
            dense[rate.layer] = rate
    best: dict[tuple[str, float], Rate] = {}
    for rate in rates:
        if is_sparse(rate.family) and rate.density is not None and rate.layer in dense:
            key = (rate.layer, rate.density)
            if key not in best or rate.ms < best[key].ms:
                best[key] = rate
    return [
        AtlasCell(layer, density, *_better(rate, dense[layer])) for (layer, density), rate in best.items()
    ]


def _better(sparse: Rate, dense: Rate) -> tuple[str, float]:
    return (sparse.family, dense.ms / sparse.ms) if sparse.ms < dense.ms else (dense.family, 1.0)


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers, at least one."""
    return exp(sum(log(value) for value in values) / len(values))
