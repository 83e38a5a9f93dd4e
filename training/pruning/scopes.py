"""Where a budget of weights is spent: within each layer, over all of them, or by their shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from sparsenet.checks import one_of
from sparsenet.errors import MaskError
from training.pruning.budget import Budget, share_out
from training.pruning.erk import erk_densities
from training.pruning.select import Chooser, Sizes, best, top_k, total_of, weights_of

#: Of a budget of weights, and of any.
WeightScope = Literal["layer", "global", "erk"]
Scope = Literal[WeightScope, "latency"]


@dataclass(frozen=True)
class ByWeights:
    """A budget of weights on its way into layers.

    Attributes:
        scope, budget: as of ``chooser``.
        shapes: of the weights, by parameter.
    """

    scope: WeightScope
    budget: Budget
    shapes: Mapping[str, Sequence[int]]

    def at(self, progress: float) -> Chooser:
        """What ``select`` chooses by, after this share of the rounds."""
        total = sum(map(math.prod, self.shapes.values()))
        return chooser(self.scope, self.budget.part(total, progress), self.shapes)


def chooser(scope: WeightScope, budget: Budget, shapes: Mapping[str, Sequence[int]]) -> Chooser:
    """What ``select`` chooses by.

    Unstructured budgets are met exactly. Blocks and whole channels come in lumps: as many as fit are kept, never more
    weights than asked. Of blocks less than one is missing in the end, also where each layer has a share of its own.

    Args:
        scope: "layer": the same share in every layer, a sparsity being one of channels for channels, else of weights;
            "global": the best units wherever they are; "erk": the densities of ``erk``.
        budget: of all layers.
        shapes: of the weights, by layer; for "erk" alone.
    """
    one_of(scope, "scope", get_args(WeightScope), MaskError)
    if scope == "global":
        return partial(_everywhere, budget)
    return partial(_by_shape, budget, shapes) if scope == "erk" else partial(_alike, budget)


def _alike(
    budget: Budget, scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes], floors: Mapping[str, int]
) -> dict[str, Tensor]:
    alike = {name: size for name, size in sizes.items() if isinstance(size, int)}
    if len(alike) == len(sizes) and (budget.sparsity is not None or max(alike.values()) > 1):
        return _share_of_units(budget, scores, alike, floors)
    totals = {name: total_of(score, sizes[name]) for name, score in scores.items()}
    alive = _alive(scores, sizes)
    if budget.sparsity is not None:
        counts = {name: max(budget.weights_of(total), floors[name]) for name, total in totals.items()}
        counts = {name: min(count, alive[name]) for name, count in counts.items()}
    else:
        counts = share_out(totals, budget.weights_of(sum(totals.values())), floors, alive)
    return best_of_each(scores, sizes, counts)


def _share_of_units(
    budget: Budget, scores: Mapping[str, Tensor], sizes: Mapping[str, int], floors: Mapping[str, int]
) -> dict[str, Tensor]:
    """The same share of the units of every layer."""
    units = {name: score.numel() for name, score in scores.items()}
    if budget.sparsity is not None:
        counts = {name: budget.weights_of(count) for name, count in units.items()}
    else:
        total = sum(units[name] * sizes[name] for name in units)
        keep = budget.weights_of(total)
        counts = {name: keep * count // total for name, count in units.items()}
    least = {name: floors[name] // sizes[name] for name in units}
    return {name: top_k(score, max(counts[name], least[name])) for name, score in scores.items()}


def _by_shape(
    budget: Budget,
    shapes: Mapping[str, Sequence[int]],
    scores: Mapping[str, Tensor],
    sizes: Mapping[str, Sizes],
    floors: Mapping[str, int],
) -> dict[str, Tensor]:
    totals = {name: total_of(score, sizes[name]) for name, score in scores.items()}
    keep = budget.weights_of(sum(totals.values()))
    densities = erk_densities({name: shapes[name] for name in totals}, keep)
    shares = {name: densities[name] * total for name, total in totals.items()}
    return best_of_each(scores, sizes, share_out(shares, keep, floors, _alive(scores, sizes)))


def _everywhere(
    budget: Budget, scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes], floors: Mapping[str, int]
) -> dict[str, Tensor]:
    keep = budget.weights_of(sum(total_of(score, sizes[name]) for name, score in scores.items()))
    reserved = {name: best(score, sizes[name], floors[name]) for name, score in scores.items()}
    # Infinitely good: counted in the budget, so that the total stays exact.
    ranked = torch.cat([score.masked_fill(reserved[name], math.inf) for name, score in scores.items()])
    chosen = best(ranked, _joined(scores, sizes), max(keep, sum(floors.values())))
    parts = chosen.split([score.numel() for score in scores.values()])
    return {name: part.clone() for name, part in zip(scores, parts, strict=True)}


def best_of_each(
    scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes], counts: Mapping[str, int]
) -> dict[str, Tensor]:
    """Flags of the best units of each layer that have no more than so many weights."""
    kept, left = {}, 0
    for name, score in scores.items():
        # What the blocks of one layer leave of its share, the next may take: less than a block.
        kept[name] = best(score, sizes[name], counts[name] + left)
        left += counts[name] - weights_of(kept[name], sizes[name])
    return kept


def _alive(scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes]) -> dict[str, int]:
    """Layer → weights of the units that can be kept."""
    return {name: weights_of(score > -math.inf, sizes[name]) for name, score in scores.items()}


def _joined(scores: Mapping[str, Tensor], sizes: Mapping[str, Sizes]) -> Sizes:
    """The sizes of all layers one after another."""
    if all(isinstance(size, int) for size in sizes.values()) and len(set(sizes.values())) == 1:
        return next(iter(sizes.values()))
    return torch.cat([torch.as_tensor(sizes[name]).expand(score.numel()) for name, score in scores.items()])
