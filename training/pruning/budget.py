"""How many weights stay, and how a number of them is split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real

from sparsenet.checks import shown
from sparsenet.errors import MaskError


@dataclass(frozen=True)
class Budget:
    """How much stays: a ``sparsity`` (fraction of zeros) or a number of weights to ``keep``, exactly one."""

    sparsity: float | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        if (self.sparsity is None) == (self.keep is None):
            raise MaskError("give either sparsity or keep, not both and not neither")
        if self.sparsity is not None and not isinstance(self.sparsity, Real):
            raise MaskError(f"sparsity must be a number between 0 and 1, got {shown(self.sparsity)}")
        if self.keep is not None and not isinstance(self.keep, Integral):
            raise MaskError(f"keep must be a whole number of weights, got {shown(self.keep)}")
        if self.sparsity is not None and not 0.0 <= self.sparsity <= 1.0:
            raise MaskError(f"sparsity is the fraction of zeros, between 0 and 1; got {self.sparsity}")
        if self.keep is not None and self.keep < 0:
            raise MaskError(f"cannot keep {self.keep} weights")

    def weights_of(self, total: int) -> int:
        """Weights to keep out of ``total``. Half-way cases round as torch.nn.utils.prune does."""
        if self.keep is not None:
            if self.keep > total:
                raise MaskError(f"cannot keep {self.keep} weights: the chosen layers have only {total}")
            return self.keep
        assert self.sparsity is not None
        return total - round(self.sparsity * total)

    def without(self, total: int, whole: int) -> Budget:
        """What is left of it for the others, if ``whole`` weights of ``total`` stay in any case."""
        keep = self.weights_of(total) - whole
        if keep < 0:
            raise MaskError(
                f"the layers to be kept whole have {whole:,} weights, the budget is {keep + whole:,} of {total:,}"
            )
        return Budget(keep=keep)

    def part(self, total: int, progress: float) -> Budget:
        """The budget after this share of the rounds: density^progress, exact at the end."""
        if progress == 1:
            return self
        # An empty network in the end is still approached by ratios.
        density = max(self.weights_of(total), 1) / total
        if self.sparsity is not None:
            return Budget(sparsity=1 - density**progress)
        return Budget(keep=round(total * density**progress))


def share_out(
    shares: Mapping[str, float], total: int, least: Mapping[str, int], most: Mapping[str, int]
) -> dict[str, int]:
    """Split ``total`` in proportion to ``shares``, in whole numbers by largest remainder, each within its bounds.

    What a bound gives or takes is shared by the others. Less than all of ``least`` gives these, more than all of
    ``most`` gives those.
    """
    result: dict[str, int] = {}
    free = dict(shares)
    while free:
        whole = sum(free.values()) or 1.0
        quota = {name: total * share / whole for name, share in free.items()}
        excess = {name: min(max(q, least[name]), most[name]) - q for name, q in quota.items()}
        # Where floors cost more than ceilings bring, a layer at its ceiling may fall below it yet; and the reverse.
        sign = 1 if sum(excess.values()) >= 0 else -1
        bound = [name for name in free if sign * excess[name] > 0]
        if not bound:
            break
        for name in bound:
            result[name] = least[name] if sign > 0 else most[name]
            total -= result[name]
            del free[name]
    if free:
        floors = {name: math.floor(quota[name]) for name in free}
        by_remainder = sorted(free, key=lambda name: floors[name] - quota[name])
        for name in by_remainder[: total - sum(floors.values())]:
            floors[name] += 1
        result |= floors
    return {name: result[name] for name in shares}
