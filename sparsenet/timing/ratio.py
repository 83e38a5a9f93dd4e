"""The ratio of two calls' times, and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

CONFIDENCE, RESAMPLES = 0.95, 2000
#: The noise floor: no machine is trusted to tell smaller differences apart.
FLOOR = 0.01
#: If disturbed rounds leave fewer than so many, or the interval reaches further than by this factor, nothing is said.
FEWEST, WIDEST = 5, 1.1
#: Nor if the middle half of the rounds is wider than this share of their median. Neighbours on the same host, which no
#: counter shows, slow a short run down more than a long one, for seconds: of 158 windows of 1.7 s, 4 were off by 10 to
#: 19 %, with narrow intervals of their medians. Their rounds were 0.10 to 0.15 apart, those of half the windows 0.05.
APART = 0.08
#: What is said of a noisy window nevertheless leaves room for all of it to be off, by more than any of those 158 was.
DOUBT = 1.25


class Spread(NamedTuple):
    """A median and the interquartile range around it, as its two ends (25th and 75th percentile)."""

    median: float
    iqr: tuple[float, float]


@dataclass(frozen=True)
class Ratio:
    """How many times as long A took as B.

    Attributes:
        median: median over rounds of A ÷ B in the same round.
        low, high: its 95 % interval (``median_interval``), widened by the noise floor of 1 %.
        rounds: how many undisturbed ones these rest on.
        dropped: how many disturbed ones do not count.
        apart: how far rounds are apart: interquartile range of A ÷ B, divided by its median.
    """

    median: float
    low: float
    high: float
    rounds: int
    dropped: int = 0
    apart: float = 0.0

    @property
    def noisy(self) -> bool:
        """Whether the machine was too noisy to tell: few rounds are left, or they disagree."""
        narrow = self.high <= WIDEST * self.median and self.median <= WIDEST * self.low
        return few(self.rounds, self.dropped) or not narrow or self.apart > APART

    @property
    def why_noisy(self) -> str:
        """The reason, as in ``too noisy to tell (3 of 120 rounds undisturbed, 5 % apart, 1.21 to 5.3 times)``."""
        rounds = f"{self.rounds} of {self.rounds + self.dropped} rounds undisturbed, {self.apart:.0%} apart"
        return f"too noisy to tell ({rounds}, {self.low:.3g} to {self.high:.3g} times)"

    @property
    def at_least(self) -> float | None:
        """What the ratio surely exceeds even where the machine was noisy; None where that is not above 1.

        The lower of the interval's end and the rounds' first quartile, divided by 1.25; None where few rounds are left.
        """
        sure = min(self.low, self.median * (1 - self.apart / 2)) / DOUBT
        return sure if sure > 1 and not few(self.rounds, self.dropped) else None

    @property
    def told(self) -> float | None:
        """The median, or None where the machine was too noisy to tell."""
        return None if self.noisy else self.median

    @property
    def interval(self) -> tuple[float, float] | None:
        """``low`` and ``high``, or None where the machine was too noisy to tell."""
        return None if self.noisy else (self.low, self.high)


def few(rounds: int, dropped: int) -> bool:
    """Whether disturbed rounds have left too few to tell anything."""
    return rounds < (FEWEST if dropped else 1)


def spread(samples: npt.ArrayLike) -> Spread:
    """Median and interquartile range of samples of any unit, which it keeps."""
    low, median, high = np.quantile(np.asarray(samples, np.float64), [0.25, 0.5, 0.75])
    return Spread(float(median), (float(low), float(high)))


def paired_ratio(a: npt.ArrayLike, b: npt.ArrayLike, dropped: int = 0) -> Ratio:
    """How many times longer ``a`` took than ``b``: the median of the ratios a[i] / b[i] of equal rounds.

    Args:
        a, b: seconds of undisturbed rounds.
        dropped: how many others were left out.

    Raises:
        ValueError: the two do not have the same number of rounds, or hold a time that is not positive.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 1 or first.size == 0:
        raise ValueError(
            f"paired samples must be two lists of equal length, got {first.shape} and {second.shape}"
        )
    if not (np.all(first > 0) and np.all(second > 0)):
        raise ValueError("paired samples must be positive times")
    ratios = first / second
    median, low, high = median_interval(ratios)
    return Ratio(median, low / (1 + FLOOR), high * (1 + FLOOR), first.size, dropped, apart(ratios))


def quartile_ratio(a: npt.ArrayLike, b: npt.ArrayLike, dropped: int = 0, seed: int = 0) -> Ratio:
    """How many times longer ``a`` took than ``b`` when little else ran: the ratio of their lower quartiles.

    For what is compared between runs. Beside thirteen processes on two cores, a network's time in products of matrices
    differed by 3 % between six runs so, by 7 % as the ratio of medians; in ms by 6 % and by 12 %.

    Args:
        a, b: seconds of undisturbed rounds, at least one.
        dropped: how many others were left out.
        seed: of the bootstrap, which is that of ``median_interval``.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    drawn = _resamples(first.size, seed)
    ratios = np.quantile(first[drawn], 0.25, axis=1) / np.quantile(second[drawn], 0.25, axis=1)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    middle = float(np.quantile(first, 0.25) / np.quantile(second, 0.25))
    return Ratio(middle, float(low) / (1 + FLOOR), float(high) * (1 + FLOOR), first.size, dropped)


def apart(samples: npt.ArrayLike) -> float:
    """How far samples are apart: their interquartile range, divided by their median."""
    median, (low, high) = spread(samples)
    return (high - low) / median


def median_interval(
    values: npt.ArrayLike, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float, float]:
    """The median and the ends of its bootstrap interval (percentiles of the medians of resamples).

    Noise comes in spells, so that neighbours are no independent values: resamples are made of runs of √n neighbours.

    Raises:
        ValueError: no values.
    """
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or given.size == 0:
        raise ValueError("a median needs at least one value")
    medians = np.median(given[_resamples(given.size, seed)], axis=1)
    low, high = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(np.median(given)), float(low), float(high)


def _resamples(size: int, seed: int) -> npt.NDArray[np.int64]:
    """(resamples, size) indices: runs of neighbours, around the end to the beginning."""
    length = math.isqrt(size)
    runs = -(-size // length)
    first = np.random.default_rng(seed).integers(0, size, (RESAMPLES, runs))
    return (first[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :size] % size
