"""Grids of weights: symmetric, so that zeros stay zeros, with a scale for each output channel or one for all."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.graph.quantization import LEAST_SCALE, Quantization

WeightMethod = Literal["max", "mse"]
#: Weights are at most so many steps: -128 has no counterpart.
STEPS = 127
#: A channel's scale is at least this share of the layer's largest: what is smaller is nothing beside the other
#: channels, which are rounded to the same grid behind the layer.
_SMALLEST_SHARE = 2.0**-24
#: Shares of the largest weight that the method "mse" tries.
_SHARES = np.linspace(1.0, 0.4, 31)

Scales = npt.NDArray[np.float64]


def scales_of(weight: FloatArray, method: WeightMethod, per_channel: bool) -> Scales:
    """Scales (C_out,), or (1,): of each output channel's largest weight, or those that change the weights least."""
    rows = weight.reshape(len(weight) if per_channel else 1, -1).astype(np.float64)
    scales = np.abs(rows).max(axis=1) / STEPS
    if method == "mse":
        tried = np.stack([_error(rows, scales * share) for share in _SHARES])
        scales = scales * _SHARES[tried.argmin(axis=0)]
    floor = scales.max() * _SMALLEST_SHARE or 1.0
    return np.maximum(scales, max(floor, LEAST_SCALE))


def rounded(weight: FloatArray, scales: Scales, per_channel: bool) -> tuple[Quantization, FloatArray]:
    """The grid of these scales and the weight on it."""
    grid = Quantization.of_weights(scales if per_channel else scales.reshape(()))
    return grid, grid.numbers(np.clip(grid.round(weight), -STEPS, STEPS))


def _error(rows: npt.NDArray[np.float64], scales: Scales) -> npt.NDArray[np.float64]:
    """(rows,): sum of the squared changes of each row."""
    steps = np.where(scales, scales, 1.0)[:, None]
    return np.square(np.clip(np.rint(rows / steps), -STEPS, STEPS) * steps - rows).sum(axis=1)
