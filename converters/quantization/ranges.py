"""Ranges: between which numbers the 256 steps of a tensor's grid lie, by what was observed of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from converters.quantization.histogram import Histogram
from sparsenet.graph.quantization import LEAST_SCALE, MOST_SCALE, Quantization

Method = Literal["minmax", "percentile", "mse"]
#: The method "percentile" leaves out this share of the numbers on each side, as Wu et al., arXiv 2004.09602, do.
LEFT_OUT = 1e-4
#: Shares of the observed range that the method "mse" tries for each end.
_SHARES = np.concatenate([np.linspace(1.0, 0.2, 41), np.geomspace(0.18, 0.001, 24)])

Range = tuple[float, float]
Numbers = npt.NDArray[np.float64]
Function = Callable[[Numbers], Numbers]


def range_of(seen: Histogram, method: Method, function: Function | None = None) -> Range:
    """The least and the largest number of the grid: 0 is between them, or one of them.

    Args:
        seen: the numbers.
        method: how the range is found.
        function: what nothing but is computed of the numbers, such as an activation: then its results count, and the
            range is at most that of ``method``. Most of what an activation makes small need not be told apart.
    """
    ends = min(seen.least, 0.0), max(seen.most, 0.0)
    if method == "percentile":
        ends = _percentile(seen, ends)
    if method == "mse" or function is not None:
        ends = _least_squares(seen, ends, function or (lambda numbers: numbers))
    return ends


def grid_of(least: float, most: float) -> Quantization:
    """The grid of unsigned bytes from ``least`` to ``most``, moved so that one of its steps is 0."""
    scale = np.float32(np.clip((most - least) / 255 or 1.0, LEAST_SCALE, MOST_SCALE))
    return Quantization.of_activations(float(scale), int(np.clip(np.rint(-least / float(scale)), 0, 255)))


def _percentile(seen: Histogram, whole: Range) -> Range:
    running = np.cumsum(seen.counts)
    first = int(np.searchsorted(running, LEFT_OUT * running[-1], "right"))
    last = int(np.searchsorted(running, (1 - LEFT_OUT) * running[-1], "left"))
    half = seen.width / 2
    least, most = float(seen.centres[first]) - half, float(seen.centres[last]) + half
    return min(max(least, whole[0]), 0.0), max(min(most, whole[1]), 0.0)


def _least_squares(seen: Histogram, whole: Range, function: Function) -> Range:
    """The range that changes the results least: one end after the other is moved until neither gains."""
    kept = np.flatnonzero(seen.counts)
    numbers, counts = seen.centres[kept], seen.counts[kept].astype(np.float64)
    results = function(numbers)

    def error(ends: Range) -> float:
        grid = grid_of(*ends)
        rounded = grid.numbers(grid.round(numbers)).astype(np.float64)
        return float(counts @ np.square(function(rounded) - results))

    best, least = whole, error(whole)
    while True:
        tried = [(best[0], whole[1] * share) for share in _SHARES] if whole[1] else []
        tried += [(whole[0] * share, best[1]) for share in _SHARES] if whole[0] else []
        errors = [error(ends) for ends in tried]
        if not errors or min(errors) >= least:
            return best
        best, least = tried[int(np.argmin(errors))], min(errors)
