"""A histogram of numbers that come bit by bit, over a range that nobody knows beforehand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray

#: Bins on each side of 0. The numbers of one sign use more than half of them: at least eight for each of 256 steps.
BINS = 4096
#: Numbers that are counted together, while they are in the cache.
_BLOCK = 2**16
#: Below what float32 numbers have.
_LEAST_EXPONENT = -150


class Histogram:
    """How many numbers lie in each of the bins ``[i * width, (i + 1) * width)``, i from -BINS to BINS - 1.

    The width is a power of two, and doubles when a number lies beyond the last bin: two bins then become one exactly,
    so that the result depends neither on the order of the numbers nor on how they were divided.

    Args:
        counted: whether numbers are counted; else only the smallest and the largest are kept.

    Attributes:
        counts: (2 * BINS,) int64.
        least, most: the smallest and the largest number; infinite if there is none.
    """

    def __init__(self, counted: bool = True) -> None:
        self._counted = counted
        self.counts = np.zeros(2 * BINS, np.int64)
        self.least, self.most = math.inf, -math.inf
        self._exponent: int | None = None

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self._exponent or 0)

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """(2 * BINS,) the middle of each bin."""
        return np.arange(-BINS + 0.5, BINS, dtype=np.float64) * self.width

    def add(self, numbers: FloatArray) -> None:
        """Count finite numbers, any shape."""
        if not numbers.size:
            return
        least, most = float(numbers.min()), float(numbers.max())
        self.least, self.most = min(self.least, least), max(self.most, most)
        if not self._counted:
            return
        self._widen(_exponent(max(-least, most)))
        flat, per_width = numbers.reshape(-1), np.float64(1 / self.width)
        for start in range(0, flat.size, _BLOCK):
            places = np.floor(flat[start : start + _BLOCK] * per_width).astype(np.intp)
            self.counts += np.bincount(places + BINS, minlength=2 * BINS)

    def merge(self, other: Histogram) -> None:
        """Count the numbers of another histogram, too."""
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)
        if other._exponent is None:
            return
        self._widen(other._exponent)
        self.counts += _halved(other.counts, (self._exponent or 0) - other._exponent)

    def _widen(self, exponent: int) -> None:
        if self._exponent is None:
            self._exponent = exponent
        elif exponent > self._exponent:
            self.counts = _halved(self.counts, exponent - self._exponent)
            self._exponent = exponent


def _exponent(largest: float) -> int:
    """Of the smallest width with which the bins hold numbers up to ``largest`` on either side."""
    return (
        max(math.frexp(largest)[1] if largest else _LEAST_EXPONENT, _LEAST_EXPONENT) - BINS.bit_length() + 1
    )


def _halved(counts: npt.NDArray[np.int64], times: int) -> npt.NDArray[np.int64]:
    """The counts in bins ``2 ** times`` as wide."""
    for _ in range(min(times, BINS.bit_length() + 1)):
        pairs = counts.reshape(-1, 2).sum(axis=1)
        counts = np.concatenate([np.zeros(BINS // 2, np.int64), pairs, np.zeros(BINS // 2, np.int64)])
    return counts
