"""How sure a median is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CONFIDENCE, RESAMPLES = 0.95, 2000


def median_interval(
    values: npt.ArrayLike, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float, float]:
    """The median and the ends of its bootstrap interval (percentiles of the medians of resamples).

    Raises:
        ValueError: no values.
    """
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or given.size == 0:
        raise ValueError("a median needs at least one value")
    draws = np.random.default_rng(seed).integers(0, given.size, (RESAMPLES, given.size))
    low, high = np.quantile(np.median(given[draws], axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(np.median(given)), float(low), float(high)
