"""Figures that follow from what was measured: break-even points, the atlas of layers, scaling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log

from bench.kernels.rates import Rate
from bench.model.results import Result
from sparsenet.latency.kinds import is_sparse


def break_even(points: Iterable[tuple[float, float | None]]) -> float | None:
    """The sparsity from which the speed-up stays above 1 beyond its interval, between points by the logarithm.

    Args:
        points: (sparsity, lower end of the interval of the speed-up; None where it was too noisy to tell). Behind such
            a point speed is known from the next one on.

    Returns:
        None if even the last point is not surely above 1; the first sparsity if all are.
    """
    ordered = sorted(points, key=lambda point: point[0])
    pays = None
    for sparsity, low in reversed(ordered):
        if low is None or low <= 1:
            if pays is None or low is None:
                break
            above, gain = pays
            return sparsity + (above - sparsity) * -log(low) / (log(gain) - log(low))
        pays = sparsity, low
    return pays[0] if pays else None


def surely(results: Iterable[Result]) -> list[tuple[float, float | None]]:
    """(sparsity, how many times as fast it surely is, on a noisy machine at least; None where it was too noisy)."""
    return [
        (r.sparsity or 0.0, r.speedup_at_least if r.speedup_low is None else r.speedup_low) for r in results
    ]


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
