"""Honest comparison of callables: interleaved round by round, compared by paired ratios.

A machine's speed drifts (frequency, neighbours, page placement). Timing one engine after the other compares
two moments; timing them in turn, one call each per round, lets drift cancel in the ratio of the same round.

    samples = interleaved({"dense": lambda: dense(x), "sparse": lambda: sparse(x)}, rounds=50)
    speedup = paired_ratio(samples["dense"], samples["sparse"])
    speedup.median, speedup.iqr          # 2.31, (2.28, 2.36)
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]


class Spread(NamedTuple):
    """A median and the interquartile range around it, as its two ends (25th and 75th percentile)."""

    median: float
    iqr: tuple[float, float]


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 30,
    warmup: int = 3,
    settle: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Samples]:
    """Seconds of every call, measured in turn.

    Each round makes every call once; the round after begins with the next one, so that the same call is not
    always first. Garbage collection waits until the end.

    Args:
        calls: name → callable without arguments.
        rounds: how many samples of each.
        warmup: rounds made first and thrown away; compilation belongs there.
        settle: seconds of idling before each call. Thread pools spin for a while after their work, on cores
            that another engine's threads need; some milliseconds keep one out of the other's time.
        clock: seconds; ``time.thread_time`` leaves out what other processes took of a shared core, and suits calls
            that start no threads.

    Returns:
        name → float64 array (rounds,), in order of rounds: equal indices were measured side by side.

    Raises:
        ValueError: no calls, or fewer than one round.
    """
    if not calls:
        raise ValueError("nothing to time: give at least one call")
    if rounds < 1 or warmup < 0 or settle < 0:
        raise ValueError(f"rounds must be >= 1, warmup and settle >= 0; got {rounds}, {warmup}, {settle}")
    names = list(calls)
    samples = {name: np.empty(rounds, np.float64) for name in names}
    for _ in range(warmup):
        for call in calls.values():
            call()
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            first = i % len(names)
            for name in names[first:] + names[:first]:
                call = calls[name]
                if settle:
                    time.sleep(settle)
                start = clock()
                call()
                samples[name][i] = clock() - start
    finally:
        if collecting:
            gc.enable()
    return samples


def spread(samples: npt.ArrayLike) -> Spread:
    """Median and interquartile range of samples of any unit, which it keeps."""
    low, median, high = np.quantile(np.asarray(samples, np.float64), [0.25, 0.5, 0.75])
    return Spread(float(median), (float(low), float(high)))


def paired_ratio(a: npt.ArrayLike, b: npt.ArrayLike) -> Spread:
    """How many times longer ``a`` took than ``b``: the spread of the ratios a[i] / b[i] of equal rounds.

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
    return spread(first / second)
