"""From scores to what is kept: exact counts, ties broken by position, no layer emptied.

A *unit* is what is kept or pruned as a whole: one weight, one block of them, or one channel. Scores come as one 1-D
tensor of units per layer; -inf marks a unit that is already pruned and can never be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sparsenet.checks import one_of, real_number
from sparsenet.errors import MaskError

OnEmpty = Literal["keep", "raise", "allow"]
#: Weights of a unit: one number for units that are all alike, else one for each, int64 (units,).
Sizes = int | Tensor
#: From scores and sizes of units, and floors in weights, each by layer, to flags of the units kept (see ``scopes``).
Chooser = Callable[[Mapping[str, Tensor], Mapping[str, Sizes], Mapping[str, int]], dict[str, Tensor]]


@dataclass(frozen=True)
class Selection:
    """Kept units per layer (bool, 1-D), and the layers that only the guard lifted to its floor."""

    kept: dict[str, Tensor]
    rescued: tuple[str, ...]


def select(
    scores: Mapping[str, Tensor],
    unit_sizes: Mapping[str, Sizes],
    choose: Chooser,
    min_density: float = 0.0,
    on_empty: OnEmpty = "keep",
) -> Selection:
    """Keep what ``choose`` does, and guard layers against running empty.

    scores: layer → (units,) float; unit_sizes: layer → weights per unit.
    ``min_density`` is the floor of every layer (rounded up to units, at least one). With ``on_empty`` "keep",
    layers below it are filled up with their own best units, at the others' cost where the budget is shared (a
    budget smaller than the sum of floors gives the floors); "raise" is a MaskError; "allow" leaves them.
    """
    min_density = real_number(min_density, "min_density", 0, 1, error=MaskError)
    one_of(on_empty, "on_empty", get_args(OnEmpty), MaskError)
    for name, score in scores.items():
        if torch.isnan(score).any():
            raise MaskError(f"layer '{name}' has NaN scores: its weights or gradients are not finite")
    floors = {name: _floor(score, unit_sizes[name], min_density) for name, score in scores.items()}
    kept = choose(scores, unit_sizes, dict.fromkeys(floors, 0))
    low = tuple(name for name in kept if weights_of(kept[name], unit_sizes[name]) < floors[name])
    if not low or on_empty == "allow":
        return Selection(kept, ())
    if on_empty == "raise":
        raise MaskError(
            f"too little would be left (min_density {min_density:g}, at least one) of: {', '.join(low)}; "
            "lower the sparsity, exclude them, or let on_empty='keep' fill them up"
        )
    return Selection(choose(scores, unit_sizes, floors), low)


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


def best(scores: Tensor, sizes: Sizes, weights: int) -> Tensor:
    """Flags of the units from the top of the ranking that have no more than ``weights`` together."""
    if isinstance(sizes, int):
        return top_k(scores, weights // sizes)
    order = ranking(scores)
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    chosen[order[sizes[order].cumsum(0) <= weights]] = True
    return chosen


def ranking(scores: Tensor) -> Tensor:
    """Numbers of the units that can be kept, the best first, of equal ones the earlier."""
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[scores[order] > -math.inf]


def weights_of(units: Tensor, sizes: Sizes) -> int:
    """Weights of the flagged units."""
    return int(units.sum()) * sizes if isinstance(sizes, int) else int(sizes[units].sum())


def total_of(scores: Tensor, sizes: Sizes) -> int:
    """Weights of all units of a layer."""
    return scores.numel() * sizes if isinstance(sizes, int) else int(sizes.sum())


def _floor(scores: Tensor, sizes: Sizes, min_density: float) -> int:
    """Weights of the fewest best units that have ``min_density`` of all; one unit at least, if one can be kept."""
    # The small allowance keeps 0.1 * 30 from rounding up to 4.
    wanted = max(1, math.ceil(min_density * total_of(scores, sizes) - 1e-9))
    alive = weights_of(scores > -math.inf, sizes)
    if isinstance(sizes, int):
        return min(math.ceil(wanted / sizes) * sizes, alive)
    reached = sizes[ranking(scores)].cumsum(0)
    return int(reached[reached >= wanted][0]) if wanted < alive else alive
