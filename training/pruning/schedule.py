"""How sparsity grows over training."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.checks import real_number, whole_number
from sparsenet.errors import MaskError


@dataclass(frozen=True)
class PolynomialSchedule:
    """Sparsity rises fast while there is much to remove, slowly towards the end.

    s(t) = final + (initial - final) · (1 - (t - begin) / (end - begin))^power from begin_step to end_step;
    nothing is pruned before, and ``final`` holds after. Masks are updated every ``every`` steps.
    Source: Zhu and Gupta 2017, To Prune or Not to Prune, equation 1 (power 3 there).
    Raises MaskError on values that would not give a rising schedule.
    """

    initial: float = 0.5
    final: float = 0.8
    begin_step: int = 0
    end_step: int = 600
    power: float = 3.0
    every: int = 10

    def __post_init__(self) -> None:
        for name in ("initial", "final"):
            real_number(getattr(self, name), f"a schedule's {name}", 0, 1, error=MaskError)
        for name in ("begin_step", "end_step"):
            whole_number(getattr(self, name), f"a schedule's {name}", least=0, error=MaskError)
        real_number(self.power, "a schedule's power", above=True, error=MaskError)
        whole_number(self.every, "a schedule's every", error=MaskError)
        if not 0.0 <= self.initial <= self.final <= 1.0:
            raise MaskError(
                f"a schedule needs sparsities 0 ≤ initial ≤ final ≤ 1; got {self.initial} and {self.final}"
            )
        if not 0 <= self.begin_step <= self.end_step:
            raise MaskError(
                f"a schedule needs 0 ≤ begin_step ≤ end_step; got {self.begin_step} and {self.end_step}"
            )

    def sparsity(self, step: int) -> float:
        """Target fraction of zeros after optimizer step ``step``."""
        if step < self.begin_step:
            return 0.0
        if step >= self.end_step:
            return self.final
        left = 1.0 - (step - self.begin_step) / (self.end_step - self.begin_step)
        # min: the sum of rounded terms may pass ``final`` by one ulp.
        return min(self.final, self.final + (self.initial - self.final) * left**self.power)

    def is_due(self, step: int, last_update: int | None) -> bool:
        """Whether masks last updated at ``last_update`` are to be updated after ``step``."""
        if step < self.begin_step:
            return False
        if last_update is None:
            return True
        if last_update >= self.end_step:
            return False
        return step >= self.end_step or step - last_update >= self.every
