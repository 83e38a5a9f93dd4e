"""From scores and a budget to what is kept: exact counts, ties broken by position, no layer emptied.

A *unit* is what is kept or pruned as a whole: one weight, one block of them, or one channel. Scores come as one 1-D
tensor of units per layer; -inf marks a unit that is already pruned and can never be kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

import torch
from torch import Tensor

from sparsenet.checks import one_of, real_number, shown
from sparsenet.errors import MaskError

OnEmpty = Literal["keep", "raise", "allow"]
Scope = Literal["layer", "global"]
#: Weights of a unit: one number for units that are all alike, else one for each, int64 (units,).
Sizes = int | Tensor


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


@dataclass(frozen=True)
class Selection:
    """Kept units per layer (bool, 1-D), and the layers that only the guard lifted to its floor."""

    kept: dict[str, Tensor]
    rescued: tuple[str, ...]


def select(
    scores: Mapping[str, Tensor],
    unit_sizes: Mapping[str, Sizes],
    budget: Budget,
    scope: Scope,
    min_density: float = 0.0,
    on_empty: OnEmpty = "keep",
) -> Selection:
    """Keep the units with the highest scores, within each layer or over all layers together.

    scores: layer → (units,) float; unit_sizes: layer → weights per unit.
    Unstructured budgets are met exactly. Blocks and whole channels come in lumps: as many as fit are kept, never more
    weights than asked. Of blocks less than one is missing in the end, also where each layer has a share of its own.
    A sparsity within the layers is a share of their channels for channels, else of their weights.
    ``min_density`` is the floor of every layer (rounded up to units, at least one). With ``on_empty`` "keep",
    layers below it are filled up with their own best units, at the others' cost where the budget is shared (a
    budget smaller than the sum of floors gives the floors); "raise" is a MaskError; "allow" leaves them.
    """
    min_density = real_number(min_density, "min_density", 0, 1, error=MaskError)
    one_of(on_empty, "on_empty", get_args(OnEmpty), MaskError)
    one_of(scope, "scope", get_args(Scope), MaskError)
    for name, score in scores.items():
        if torch.isnan(score).any():
            raise MaskError(f"layer '{name}' has NaN scores: its weights or gradients are not finite")
    floors = {name: _floor(score, unit_sizes[name], min_density) for name, score in scores.items()}
    chooser = _select_global if scope == "global" else _select_per_layer
    kept = chooser(scores, unit_sizes, budget, dict.fromkeys(floors, 0))
    low = tuple(name for name in kept if _weights(kept[name], unit_sizes[name]) < floors[name])
    if not low or on_empty == "allow":
        return Selection(kept, ())
    if on_empty == "raise":
        raise MaskError(
            f"too little would be left (min_density {min_density:g}, at least one) of: {', '.join(low)}; "
            "lower the sparsity, exclude them, or let on_empty='keep' fill them up"
        )
    return Selection(chooser(scores, unit_sizes, budget, floors), low)


def top_k(scores: Tensor, k: int) -> Tensor:
    """Flags of the ``k`` highest of ``scores`` (1-D); of equal ones the earlier; -inf is never taken."""
    k = min(k, int((scores > -math.inf).sum()))
    if k == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = torch.kthvalue(scores, scores.numel() - k + 1).values
    kept = scores > threshold
    ties = (scores == threshold).nonzero().squeeze(1)
    kept[ties[: k - int(kept.sum())]] = True
    return kept


def share_out(sizes: Mapping[str, int], total: int, floors: Mapping[str, int]) -> dict[str, int]:
    """Split ``total`` in proportion to ``sizes`` by largest remainder, but give each at least its floor."""
    result = {}
    free = dict(sizes)
    while free:
        quota = {name: total * size / max(1, sum(free.values())) for name, size in free.items()}
        low = [name for name in free if quota[name] < floors[name]]
        if not low:
            break
        for name in low:
            result[name] = floors[name]
            total -= floors[name]
            del free[name]
    if free:
        whole = {name: math.floor(quota[name]) for name in free}
        by_remainder = sorted(free, key=lambda name: whole[name] - quota[name])
        for name in by_remainder[: total - sum(whole.values())]:
            whole[name] += 1
        result |= whole
    return {name: result[name] for name in sizes}


def best(scores: Tensor, sizes: Sizes, weights: int) -> Tensor:
    """Flags of the units from the top of the ranking that have no more than ``weights`` together."""
    if isinstance(sizes, int):
        return top_k(scores, weights // sizes)
    ranking = _ranking(scores)
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    chosen[ranking[sizes[ranking].cumsum(0) <= weights]] = True
    return chosen


def _ranking(scores: Tensor) -> Tensor:
    """Numbers of the units that can be kept, the best first, of equal ones the earlier."""
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[scores[order] > -math.inf]


def _weights(units: Tensor, sizes: Sizes) -> int:
    """Weights of the flagged units."""
    return int(units.sum()) * sizes if isinstance(sizes, int) else int(sizes[units].sum())


def _total(scores: Tensor, sizes: Sizes) -> int:
    return scores.numel() * sizes if isinstance(sizes, int) else int(sizes.sum())


def _floor(scores: Tensor, sizes: Sizes, min_density: float) -> int:
    """Weights of the fewest best units that have ``min_density`` of all; one unit at least, if one can be kept."""
    # The small allowance keeps 0.1 * 30 from rounding up to 4.
    wanted = max(1, math.ceil(min_density * _total(scores, sizes) - 1e-9))
    alive = _weights(scores > -math.inf, sizes)
    if isinstance(sizes, int):
        return min(math.ceil(wanted / sizes) * sizes, alive)
    reached = sizes[_ranking(scores)].cumsum(0)
    return int(reached[reached >= wanted][0]) if wanted < alive else alive


def _select_per_layer(
    scores: Mapping[str, Tensor],
    unit_sizes: Mapping[str, Sizes],
    budget: Budget,
    floors: Mapping[str, int],
) -> dict[str, Tensor]:
    alike = {name: size for name, size in unit_sizes.items() if isinstance(size, int)}
    if len(alike) == len(unit_sizes) and (budget.sparsity is not None or max(alike.values()) > 1):
        return _share_of_units(scores, alike, budget, floors)
    totals = {name: _total(score, unit_sizes[name]) for name, score in scores.items()}
    alive = {name: _weights(score > -math.inf, unit_sizes[name]) for name, score in scores.items()}
    if budget.sparsity is not None:
        counts = {name: max(budget.weights_of(total), floors[name]) for name, total in totals.items()}
        counts = {name: min(count, alive[name]) for name, count in counts.items()}
    else:
        keep = budget.weights_of(sum(totals.values()))
        counts = {name: min(count, alive[name]) for name, count in share_out(totals, keep, floors).items()}
        # What a layer cannot take, because earlier masks have left less of it, goes to the others.
        room = {name: alive[name] - count for name, count in counts.items()}
        missing = min(keep - sum(counts.values()), sum(room.values()))
        if missing > 0:
            more = share_out(room, missing, dict.fromkeys(room, 0))
            counts = {name: counts[name] + more[name] for name in counts}
    kept, left = {}, 0
    for name, score in scores.items():
        # What the blocks of one layer leave of its share, the next may take: less than a block.
        kept[name] = best(score, unit_sizes[name], counts[name] + left)
        left += counts[name] - _weights(kept[name], unit_sizes[name])
    return kept


def _share_of_units(
    scores: Mapping[str, Tensor], unit_sizes: Mapping[str, int], budget: Budget, floors: Mapping[str, int]
) -> dict[str, Tensor]:
    """The same share of the units of every layer."""
    units = {name: score.numel() for name, score in scores.items()}
    if budget.sparsity is not None:
        counts = {name: budget.weights_of(count) for name, count in units.items()}
    else:
        total = sum(units[name] * unit_sizes[name] for name in units)
        keep = budget.weights_of(total)
        counts = {name: keep * count // total for name, count in units.items()}
    least = {name: floors[name] // unit_sizes[name] for name in units}
    return {name: top_k(score, max(counts[name], least[name])) for name, score in scores.items()}


def _select_global(
    scores: Mapping[str, Tensor],
    unit_sizes: Mapping[str, Sizes],
    budget: Budget,
    floors: Mapping[str, int],
) -> dict[str, Tensor]:
    keep = budget.weights_of(sum(_total(score, unit_sizes[name]) for name, score in scores.items()))
    reserved = {name: best(score, unit_sizes[name], floors[name]) for name, score in scores.items()}
    # Infinitely good: counted in the budget, so that the total stays exact.
    ranked = torch.cat([score.masked_fill(reserved[name], math.inf) for name, score in scores.items()])
    chosen = best(ranked, _joined(scores, unit_sizes), max(keep, sum(floors.values())))
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.clone() for name, part in zip(scores, parts, strict=True)}


def _joined(scores: Mapping[str, Tensor], unit_sizes: Mapping[str, Sizes]) -> Sizes:
    """The sizes of all layers one after another."""
    if all(isinstance(size, int) for size in unit_sizes.values()) and len(set(unit_sizes.values())) == 1:
        return next(iter(unit_sizes.values()))
    return torch.cat(
        [torch.as_tensor(unit_sizes[name]).expand(score.numel()) for name, score in scores.items()]
    )
