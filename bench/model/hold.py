"""Whether a network is as fast as it was: every row of today against the baseline's, and an exit code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.gate.verdict import Answer
from bench.model.baseline import Baseline, Cell, cell_of
from bench.model.results import Result
from sparsenet.errors import InputError

#: How often a row is measured at most, each time with everything built anew, elsewhere in memory.
LOOKS = 3
#: As of a process: everything holds, something is slower, nothing is but of something nobody could tell.
EXIT_CODES = {Answer.HOLDS: 0, Answer.FAILS: 1, Answer.UNSURE: 8}


@dataclass(frozen=True)
class Held:
    """A row and what became of it.

    Attributes:
        engine, sparsity, block, threads, batch: of the row.
        answer: "holds", "fails" or "too noisy to tell".
        speed: how many times as fast as the baseline, by the last look; ``low`` and ``high`` hold the intervals of
            both; all None where that was too noisy to tell.
        looks: how often it was measured.
    """

    engine: str
    sparsity: float | None
    block: str | None
    threads: int
    batch: int
    answer: str
    speed: float | None
    low: float | None
    high: float | None
    looks: int


def hold(
    baseline: Baseline, results: Sequence[Result], least: float, again: Callable[[Cell], Result]
) -> list[Held]:
    """Hold each row of the baseline's first engine against the baseline.

    A row holds if one look says so, and fails if two do: an unlucky place in memory or a neighbour makes no alarm.

    Args:
        baseline: what it was.
        results: the first look at all rows.
        least: the smallest speed, in units of the baseline's, that passes.
        again: takes another look at a row.

    Raises:
        InputError: no row is in both.
    """
    found = []
    for result in results:
        cell = cell_of(result)
        if cell in baseline.results:
            found.append(_held(baseline.results[cell], result, least, again))
    if not found:
        raise InputError(
            "no row of the baseline was measured again: leave out --engines, --sparsity, --block, --threads and "
            "--batch-size, to take those of the baseline"
        )
    return found


def verdict(held: Sequence[Held]) -> Answer:
    """Of all together."""
    answers = {one.answer for one in held}
    return next((a for a in (Answer.FAILS, Answer.UNSURE) if a.value in answers), Answer.HOLDS)


def _held(old: Result, new: Result, least: float, again: Callable[[Cell], Result]) -> Held:
    cell, failures, looks = cell_of(old), 0, 1
    while True:
        speed, low, high = _speed(old, new)
        answer = _answer(low, high, least)
        failures += answer is Answer.FAILS
        if answer is Answer.HOLDS or failures == 2 or looks == LOOKS:
            break
        looks, new = looks + 1, again(cell)
    if answer is Answer.FAILS and failures < 2:
        answer = Answer.UNSURE
    return Held(*cell, answer.value, speed, low, high, looks)


def _speed(old: Result, new: Result) -> tuple[float | None, float | None, float | None]:
    """How many times as fast, and between what."""
    if new.yardsticks is None or new.yardsticks_low is None or new.yardsticks_high is None:
        return None, None, None
    assert old.yardsticks is not None
    assert old.yardsticks_low is not None
    assert old.yardsticks_high is not None
    speed = old.yardsticks / new.yardsticks
    # Two runs err independently: how far they are off together grows by the root of the squares.
    down = math.hypot(
        math.log(old.yardsticks / old.yardsticks_low), math.log(new.yardsticks_high / new.yardsticks)
    )
    up = math.hypot(
        math.log(old.yardsticks_high / old.yardsticks), math.log(new.yardsticks / new.yardsticks_low)
    )
    return speed, speed * math.exp(-down), speed * math.exp(up)


def _answer(low: float | None, high: float | None, least: float) -> Answer:
    if low is None or high is None:
        return Answer.UNSURE
    if low >= least:
        return Answer.HOLDS
    return Answer.FAILS if high < least else Answer.UNSURE
