"""Three answers to whether a ratio is at least what it should be, and taking rounds until there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bench.gate.paired import Pair, Ratio, ratio_of, take_rounds
from sparsenet.timing import stopwatch

#: Rounds between two looks, and most of all.
FIRST_ROUNDS, MOST_ROUNDS = 7, 300


class Answer(Enum):
    """What a measurement says of a limit."""

    HOLDS = "holds"
    FAILS = "fails"
    UNSURE = "too noisy to tell"


@dataclass(frozen=True)
class Verdict:
    """An answer and what it rests on."""

    answer: Answer
    ratio: Ratio
    limit: float

    @property
    def text(self) -> str:
        """As in ``3.91 (3.85 to 3.97, noise floor 1.0 %, 7 rounds count, …) where at least 4.2 is expected``."""
        r = self.ratio
        rounds = f"{r.rounds} rounds count, {r.dropped} were disturbed"
        measured = f"{r.median:.3g} ({r.low:.3g} to {r.high:.3g}, noise floor {r.floor:.1%}, {rounds})"
        return f"{measured} where at least {self.limit:.3g} is expected"


def answer_to(ratio: Ratio, limit: float) -> Answer:
    """Whether ``ratio`` is at least ``limit``: only beyond the interval and the noise floor is it sure."""
    if ratio.surely_below < limit:
        return Answer.FAILS
    return Answer.HOLDS if ratio.surely_above >= limit else Answer.UNSURE


def decide(pairs: Sequence[Pair], limit: float, seconds: float, least_rounds: int = FIRST_ROUNDS) -> Verdict:
    """Take rounds of all pairs until the answer is sure, or for about ``seconds``.

    A failure needs a second look: noise that is gone by then raises no alarm.
    """
    samples = [take_rounds(pair, least_rounds) for pair in pairs]
    passed, failures = stopwatch(), 0
    while True:
        ratio = ratio_of(samples)
        answer = answer_to(ratio, limit)
        failures = failures + 1 if answer is Answer.FAILS else 0
        if answer is Answer.HOLDS or failures == 2:
            return Verdict(answer, ratio, limit)
        if passed() > seconds or ratio.rounds + ratio.dropped >= MOST_ROUNDS:
            return Verdict(Answer.UNSURE, ratio, limit)
        more = [take_rounds(pair, FIRST_ROUNDS) for pair in pairs]
        samples = [np.concatenate(both) for both in zip(samples, more, strict=True)]
