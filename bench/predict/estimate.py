"""From rates of kernels on known layers to the time of an unknown one.

For each family that could do a layer, the rate is interpolated: first over density (linearly in the logarithms) for
each layer of the table, then over the nearest layers by the logarithms of channels and pixels. The fastest family
counts, as the planner takes the fastest. A factor for each kind of layer, measured on whole networks, carries what a
layer costs in a network and not alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log2

import numpy as np

from bench.kernels.measure import Rate, is_sparse
from bench.predict.work import MOVING, LayerWork
from bench.shapes import BY_FAMILY, LayerShape

#: Neighbours that count, and how far away a layer with another kind of window is, in factors of two.
NEIGHBOURS, OTHER_WINDOW = 4, 3.0
#: Sparser than this, rates go no further down than to here.
LEAST_DENSITY = 0.01
#: Random weights have a zero here and there; only from here on the planner has sparse kernels to offer.
SPARSE_DENSITY = 0.99
CONVOLUTIONS = ("f32_conv_dense_rows", "f32_conv_blocked_rows", "f32_conv_pattern_rows", "f32_conv_csr_rows")
LINEAR = ("f32_linear_dense_flat", "f32_linear_csr_flat")
DEPTHWISE = ("f32_depthwise_dense_rows",)


@dataclass(frozen=True)
class Estimate:
    """Milliseconds of one layer, and the family expected to be the fastest."""

    layer: str
    family: str
    ms: float


@dataclass
class Estimator:
    """Rates of one machine.

    Attributes:
        rates: of one vector length.
        factors: kind of layer (see ``kind``) → time in a network ÷ time estimated from kernels alone.
    """

    rates: Sequence[Rate]
    factors: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tables: dict[str, dict[LayerShape, list[tuple[float, float]]]] = {}
        for rate in self.rates:
            layer = next(layer for layer in BY_FAMILY[rate.family] if layer.name == rate.layer)
            speed = rate.gflops if rate.gflops and layer.op in ("conv2d", "linear") else rate.gbytes
            table = self._tables.setdefault(rate.family, {})
            table.setdefault(layer, []).append((rate.density or 1.0, speed))

    def estimate(self, work: LayerWork, sparse: bool = True) -> Estimate:
        """Time of one layer for one image on one thread; ``sparse``: whether sparse kernels may do it."""
        if work.family is not None:
            speeds = [speed for points in self._tables[work.family].values() for _, speed in points]
            ms = work.nbytes / float(np.median(speeds)) / 1e6
            return Estimate(work.layer, work.family, ms * self.factors.get(kind(work.family), 1.0))
        families: tuple[str, ...] = LINEAR if work.op == "linear" or work.pixels == 1 else CONVOLUTIONS
        if work.depthwise:
            families = DEPTHWISE
        found = [
            self._weighted(work, family)
            for family in families
            if family in self._tables
            and (not is_sparse(family) or (sparse and work.density < SPARSE_DENSITY))
        ]
        return min(found, key=lambda estimate: estimate.ms)

    def _weighted(self, work: LayerWork, family: str) -> Estimate:
        density = work.density if is_sparse(family) else 1.0
        near = sorted(
            (_distance(work, layer), _at_density(points, density))
            for layer, points in self._tables[family].items()
        )[:NEIGHBOURS]
        weights = np.array([1 / (distance**2 + 0.05) for distance, _ in near])
        speed = float(np.exp((weights * np.log([speed for _, speed in near])).sum() / weights.sum()))
        flops = work.flops if is_sparse(family) else work.dense_flops
        ms = flops / speed / 1e6
        if work.stride > 1 and not work.depthwise:  # its input is split by column phase first
            moving = [speed for points in self._tables[MOVING].values() for _, speed in points]
            ms += work.nbytes / float(np.median(moving)) / 1e6
        return Estimate(work.layer, family, ms * self.factors.get(kind(family), 1.0))


def kind(family: str) -> str:
    """What a factor is for: dense, sparse and depthwise convolutions, matrix-vector products, everything else."""
    if family in DEPTHWISE:
        return "depthwise"
    if family in LINEAR:
        return "linear"
    if family in CONVOLUTIONS:
        return "sparse" if is_sparse(family) else "dense"
    return "other"


def _distance(work: LayerWork, layer: LayerShape) -> float:
    """In factors of two of channels in, channels out and pixels."""
    pixels = max(layer.size // layer.stride, 1) ** 2
    pairs = ((work.c_in, layer.c_in), (work.c_out, layer.c_out), (work.pixels, pixels))
    squared = sum(log2(a / b) ** 2 for a, b in pairs)
    if (work.kernel > 1) != (layer.kernel > 1):
        squared += OTHER_WINDOW**2
    if (work.stride > 1) != (layer.stride > 1):
        squared += 1
    return float(squared**0.5)


def _at_density(points: list[tuple[float, float]], density: float) -> float:
    """Speed at ``density``, between those measured or along their outermost slope."""
    ordered = sorted(points)
    x, y = np.log([p[0] for p in ordered]), np.log([p[1] for p in ordered])
    at = float(np.log(max(density, LEAST_DENSITY)))
    if len(x) == 1 or x[0] <= at <= x[-1]:
        return float(exp(np.interp(at, x, y)))
    i, j = (0, 1) if at < x[0] else (-2, -1)
    return float(exp(y[i] + (y[j] - y[i]) / (x[j] - x[i]) * (at - x[i])))
