"""Pairs of callables timed in turn, and how sure their ratio is.

A round times every callable several times in turn and keeps the least of each: a neighbour on the machine only ever
adds time, and a round is short beside the drift of a processor's speed. Turns that other work disturbed do not count,
nor do rounds in which all turns of a callable were. The median over rounds of the ratio within a round is what counts.
A and B both take part twice, as copies with memory of their own: the ratio of copies would be 1 on a machine without
noise, and shows what noise there was in these very rounds, that of a lucky place in memory included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsenet.timing import PATIENCE, THREAD, Clock, no_collection

#: Seconds of one run, measured by the callable itself; infinite if something disturbed it.
Timed = Callable[[], float]
Logs = npt.NDArray[np.float64]

CONFIDENCE, RESAMPLES, TURNS = 0.99, 2000, 4
#: No machine is trusted to tell less than this apart.
LEAST_FLOOR = 0.01


@dataclass(frozen=True)
class Pair:
    """A, what B is held against, and B: two copies of each."""

    a: tuple[Timed, Timed]
    b: tuple[Timed, Timed]


@dataclass(frozen=True)
class Ratio:
    """How many times as long A took as B.

    Attributes:
        median: median over rounds of A ÷ B in the same round; of several pairs the geometric mean.
        low, high: bootstrap interval of it at ``CONFIDENCE``.
        floor: noise floor: how far from 1 the intervals of A ÷ A and B ÷ B reach, as a factor less 1.
        rounds: how many count.
        dropped: how many were disturbed, in the worst pair.
    """

    median: float
    low: float
    high: float
    floor: float
    rounds: int
    dropped: int = 0

    @property
    def surely_above(self) -> float:
        """What the ratio is at least, noise considered."""
        return self.low / (1 + self.floor)

    @property
    def surely_below(self) -> float:
        """What the ratio is at most, noise considered."""
        return self.high * (1 + self.floor)


def timed(call: Callable[[], object], clock: Clock = THREAD) -> Timed:
    """``call`` as a callable that returns its own seconds, after an untimed call that brings back its caches."""

    def seconds() -> float:
        sample = clock.turn(call)
        return sample.seconds if sample.clean else np.inf

    return seconds


def take_rounds(pair: Pair, rounds: int, turns: int = TURNS) -> Logs:
    """(taken, 4) logarithms of the least seconds of A, A, B and B in each round, ``turns`` turns long.

    Infinite where every turn was disturbed. Up to three times as many rounds are taken, until ``rounds`` are finite.
    """
    calls = (*pair.a, *pair.b)
    taken: list[list[float]] = []
    with no_collection():
        while sum(map(np.all, np.isfinite(taken))) < rounds and len(taken) < PATIENCE * rounds:
            least = [np.inf] * len(calls)
            for turn in range(turns):
                for j in range(len(calls)):
                    which = (turn + j) % len(calls)
                    least[which] = min(least[which], calls[which]())
            taken.append(least)
    if not np.all(np.asarray(taken) > 0):
        raise ValueError("a time is not positive: the callables are too short for their clock")
    logs: Logs = np.log(taken)
    return logs


def ratio_of(samples: Sequence[Logs], seed: int = 0) -> Ratio:
    """The geometric mean over pairs of their median ratios, its bootstrap interval, and the noise floor.

    Without an undisturbed round of each pair it may be anything: from 0 to infinity.

    Args:
        samples: of each pair, as ``take_rounds`` gives them.
        seed: of the resampling.

    Raises:
        ValueError: no pair, or no round of one.
    """
    if not samples or any(len(logs) == 0 for logs in samples):
        raise ValueError("a ratio needs at least one round of at least one pair")
    all_rounds = samples
    samples = [logs[np.isfinite(logs).all(axis=1)] for logs in all_rounds]
    rounds = min(map(len, samples))
    dropped = max(len(logs) - len(kept) for logs, kept in zip(all_rounds, samples, strict=True))
    if not rounds:
        return Ratio(1.0, 0.0, np.inf, 0.0, 0, dropped)
    rng = np.random.default_rng(seed)
    ratio, same = np.zeros(RESAMPLES), np.zeros((2, RESAMPLES))
    median = 0.0
    for logs in samples:
        ratios = logs[:, :2].mean(axis=1) - logs[:, 2:].mean(axis=1)
        draws = rng.integers(0, len(logs), (RESAMPLES, len(logs)))
        ratio += np.median(ratios[draws], axis=1)
        same += [np.median((logs[:, i] - logs[:, i + 1])[draws], axis=1) for i in (0, 2)]
        median += float(np.median(ratios))
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.exp(np.quantile(ratio / len(samples), ends))
    farthest = np.abs(np.quantile(same / len(samples), ends, axis=1)).max()
    floor = max(float(np.expm1(farthest)), LEAST_FLOOR)
    return Ratio(float(np.exp(median / len(samples))), float(low), float(high), floor, rounds, dropped)
