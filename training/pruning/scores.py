"""How important is a weight? One scorer per criterion, each with its source.

To add one, write a function with the signature below and decorate it: ``find_masks(method=name)``, the
command line and the tests pick it up from the registry.

    @register("snip", "Lee, Ajanthan and Torr 2019, section 4.1")
    def snip(model, names, batches, loss, generator): ...
"""

# Scorers share one signature, and each uses only a part of it.
# ruff: noqa: ARG001

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsenet.errors import MaskError
from training.pruning.prunable import effective_weight

Batches = Iterable[tuple[Tensor, Tensor]]
Loss = Callable[[Tensor, Tensor], Tensor]
ScoreFunction = Callable[
    [nn.Module, Sequence[str], Batches | None, Loss | None, torch.Generator],
    dict[str, Tensor],
]


def mean_of_channel(scores: Tensor) -> Tensor:
    """(channels, weights per channel) → (channels,).

    Within a layer this ranks as the sum of Li et al. 2017 does; the mean also compares channels of different
    length, which a global budget needs.
    """
    return scores.mean(dim=1)


def first_of_channel(scores: Tensor) -> Tensor:
    """(channels, weights per channel) → (channels,): for random scores, whose mean would tend to 1/2."""
    return scores[:, 0]


@dataclass(frozen=True)
class Scorer:
    """A criterion: ``score(model, names, batches, loss, generator)`` rates every weight, higher = keep.

    ``names`` are parameter names; each result has its parameter's shape. ``batches`` of (x, y) and ``loss``
    are None for criteria that only look at the weights. ``generator`` is the only source of randomness.
    ``channel_score`` reduces the scores of a channel for structured pruning.
    """

    name: str
    citation: str
    score: ScoreFunction
    channel_score: Callable[[Tensor], Tensor] = mean_of_channel


SCORERS: dict[str, Scorer] = {}


def register(
    name: str,
    citation: str,
    channel_score: Callable[[Tensor], Tensor] = mean_of_channel,
) -> Callable[[ScoreFunction], ScoreFunction]:
    """Decorator: enter a score function in the registry under ``name``."""

    def enter(score: ScoreFunction) -> ScoreFunction:
        if name in SCORERS:
            raise ValueError(f"a scorer named '{name}' is already registered")
        SCORERS[name] = Scorer(name, citation, score, channel_score)
        return score

    return enter


def get_scorer(name: str) -> Scorer:
    """The scorer called ``name``; MaskError lists the known ones otherwise."""
    try:
        return SCORERS[name]
    except KeyError:
        raise MaskError(f"unknown pruning method '{name}'; there are: {', '.join(sorted(SCORERS))}") from None


@register(
    "l1",
    "unstructured: Han, Pool, Tran and Dally 2015, Learning both Weights and Connections, section 3; "
    "channels: Li et al. 2017, Pruning Filters for Efficient ConvNets, section 3.1",
)
def l1(
    model: nn.Module,
    names: Sequence[str],
    batches: Batches | None,
    loss: Loss | None,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Absolute value of the weight."""
    return {name: effective_weight(model, name).abs() for name in names}


@register(
    "random",
    "the control that any criterion has to beat: Frankle et al. 2021, Pruning Neural Networks at "
    "Initialization, section 3",
    channel_score=first_of_channel,
)
def random(
    model: nn.Module,
    names: Sequence[str],
    batches: Batches | None,
    loss: Loss | None,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Uniform in [0, 1), drawn on the CPU so that the seed means the same on every device."""
    return {name: torch.rand(effective_weight(model, name).shape, generator=generator) for name in names}
