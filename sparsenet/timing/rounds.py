"""Rounds of calls timed in turn, those that were disturbed dropped and counted."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from sparsenet.timing.clock import THREAD, Clock, Sample, stopwatch
from sparsenet.timing.ratio import APART, FEWEST, Ratio, Samples, apart, paired_ratio

#: Seconds of idling before each turn: threads of another engine spin for a while after their work, on cores that are
#: needed now, and who has slept is given a whole time slice on a core that is shared.
SETTLE = 0.005
#: How many times as many rounds are taken as were asked for, until so many are undisturbed and agree.
PATIENCE = 3
#: The fewest samples that tell whether they agree.
JUDGED = 20


class Rounds:
    """Samples of every call, equal indices measured side by side.

    Attributes:
        clock: how.
        samples: name → one for each round.
    """

    def __init__(self, clock: Clock, samples: Mapping[str, list[Sample]]) -> None:
        self.clock, self.samples = clock, dict(samples)

    def clean(self, *names: str) -> npt.NDArray[np.bool_]:
        """(rounds,) true where none of these calls was disturbed."""
        rounds = zip(*(self.samples[name] for name in names), strict=True)
        return np.array([all(sample.clean for sample in samples) for samples in rounds], np.bool_)

    def count(self, *names: str) -> tuple[int, int]:
        """How many rounds count, where none of these calls was disturbed, and how many do not."""
        clean = self.clean(*names)
        counted = int(clean.sum())
        return counted, len(clean) - counted

    def seconds(self, *names: str) -> list[Samples]:
        """Seconds of each of these calls in the rounds that count: where none of them was disturbed.

        If there is no such round, of all rounds: more than nothing, and ``ratio`` says that it is not to be trusted.
        """
        counted = self.clean(*names)
        if not counted.any():
            counted[:] = True
        return [np.array([sample.seconds for sample in self.samples[name]])[counted] for name in names]

    def ratio(self, slow: str, fast: str) -> Ratio:
        """How many times as long ``slow`` takes as ``fast``, by the rounds in which neither was disturbed."""
        first, second = self.seconds(slow, fast)
        counted, dropped = self.count(slow, fast)
        return replace(paired_ratio(first, second), rounds=counted, dropped=dropped)

    @property
    def enough(self) -> int:
        """How many undisturbed samples the call has that has the fewest."""
        return min(sum(sample.clean for sample in samples) for samples in self.samples.values())

    @property
    def steady(self) -> bool:
        """Whether undisturbed samples of every call agree; of fewer than 20, nobody could tell."""
        clean = ([s.seconds for s in samples if s.clean] for samples in self.samples.values())
        return all(len(seconds) < JUDGED or apart(seconds) <= APART for seconds in clean)


def take_rounds(
    turns: Mapping[str, Callable[[], Sample]],
    rounds: int,
    clock: Clock,
    *,
    settle: float = SETTLE,
    seed: int = 0,
    progress: Callable[[int], object] = lambda _: None,
) -> Rounds:
    """Let everything that takes part have a turn in every round, in an order drawn anew.

    A machine's speed drifts (frequency, neighbours, place in memory): what is measured side by side drifts alike, and
    the ratio within a round does not. Garbage collection waits until the end.

    Args:
        turns: name → what times itself once, by ``clock``.
        rounds: how many samples of each; where some are disturbed or do not agree, up to three times as many are taken.
        clock: that all of them use.
        settle: seconds of idling before each turn.
        seed: of the order.
        progress: called with 1 after each of the first ``rounds``.

    Raises:
        ValueError: nothing takes part, or fewer than one round is asked for.
    """
    if not turns:
        raise ValueError("nothing to time: give at least one call")
    if rounds < 1 or settle < 0:
        raise ValueError(f"rounds must be >= 1 and settle >= 0; got {rounds}, {settle}")
    rng, names = np.random.default_rng(seed), list(turns)
    taken = Rounds(clock, {name: [] for name in names})
    with no_collection():
        for number in range(PATIENCE * rounds):
            for name in rng.permutation(names):
                time.sleep(settle)
                taken.samples[name].append(turns[name]())
            if number < rounds:
                progress(1)
            if taken.enough >= rounds and taken.steady:
                break
    return taken


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = 30,
    clock: Clock = THREAD,
    *,
    settle: float = SETTLE,
    seed: int = 0,
) -> Rounds:
    """``take_rounds`` of plain calls: each is made twice a turn, and the second counts.

        taken = interleaved({"dense": lambda: dense(x), "sparse": lambda: sparse(x)}, 50, clock_for(threads))
        speedup = taken.ratio("dense", "sparse")
        speedup.told, speedup.interval          # 2.31, (2.25, 2.37); or None, None: too noisy to tell

    Args:
        calls: name → callable without arguments.
        rounds, settle, seed: as in ``take_rounds``.
        clock: ``THREAD`` suits calls that start no threads; see ``clock_for``.
    """
    return take_rounds(turns_of(calls, clock), rounds, clock, settle=settle, seed=seed)


def turns_of(calls: Mapping[str, Callable[[], object]], clock: Clock) -> dict[str, Callable[[], Sample]]:
    """Turns for ``take_rounds`` that make plain calls."""
    return {name: partial(clock.turn, call) for name, call in calls.items()}


def rounds_for(
    turns: Mapping[str, Callable[[], Sample]],
    seconds: float,
    fewest: int = FEWEST,
    most: int = 400,
    tries: int = 3,
    warmup: float = 0.0,
) -> int:
    """How many rounds take about ``seconds``, by trying each turn ``tries`` times, and on for ``warmup`` seconds."""
    passed, done, walls = stopwatch(), 0, dict.fromkeys(turns, math.inf)
    while done < tries or passed() < warmup:
        for name, turn in turns.items():
            walls[name] = min(walls[name], turn().wall)
        done += 1
    one_round = sum(2 * wall + SETTLE for wall in walls.values())
    return int(np.clip(seconds / one_round, fewest, most))


@contextmanager
def no_collection() -> Iterator[None]:
    """Garbage collection waits while this is entered."""
    collecting = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if collecting:
            gc.enable()
