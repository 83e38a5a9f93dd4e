"""When a sparse network trades weights for others while it trains, how many, and what the ways to choose are called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sparsenet.checks import real_number, whole_number
from sparsenet.errors import MaskError

Growth = Literal["gradient", "random"]
#: Method of sparse training → what the weights that it grows are chosen by.
SPARSE_TRAINING: dict[str, Growth] = {"rigl": "gradient", "set": "random"}


@dataclass(frozen=True)
class DropSchedule:
    """The share of a layer's weights that an update drops and grows elsewhere falls along a cosine.

    share(t) = fraction / 2 · (1 + cos(π · t / end_step)), every ``every`` steps before ``end_step``; from there on the
    masks stay. Source: Evci et al. 2020, Rigging the Lottery, section 3, equation 1. Raises MaskError on values that
    are no such schedule.
    """

    end_step: int
    every: int = 100
    fraction: float = 0.3

    def __post_init__(self) -> None:
        whole_number(self.end_step, "a schedule's end_step", least=0, error=MaskError)
        whole_number(self.every, "a schedule's every", error=MaskError)
        real_number(self.fraction, "a schedule's fraction", 0, 1, error=MaskError)

    @classmethod
    def over(
        cls, steps: int, until: float = 0.75, every: int | None = None, fraction: float = 0.3
    ) -> DropSchedule:
        """Of a training of so many steps, to its share ``until``; the defaults are those of RigL's authors.

        Their 100 steps from one update to the next are fewer where a training is too short for 30 updates.
        """
        end = max(1, round(until * steps))
        return cls(end, max(1, min(100, end // 30)) if every is None else every, fraction)

    def share(self, step: int) -> float:
        """Share of the kept weights to drop after optimizer step ``step``."""
        return self.fraction / 2 * (1 + math.cos(math.pi * min(1.0, step / max(1, self.end_step))))

    def is_due(self, step: int) -> bool:
        """Whether masks change after optimizer step ``step``, from 1 on."""
        return step % self.every == 0 and step < self.end_step
