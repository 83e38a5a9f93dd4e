"""What any criterion has to beat: random masks, and its own masks shuffled within each layer."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from sparsenet.checks import shown, whole_number
from sparsenet.errors import MaskError
from training.pruning.masks import Masks
from training.pruning.problem import Problem
from training.pruning.scores import Scorer, register


@register
class Random(Scorer):
    """Uniform scores."""

    name = "random"
    citation = (
        "the trivial baseline: Frankle, Dziugaite, Roy and Carbin 2021, Pruning Neural Networks at "
        "Initialization: Why Are We Missing the Mark?, section 3"
    )

    def score(self, problem: Problem) -> dict[str, Tensor]:
        """Uniform in [0, 1)."""
        return {name: torch.rand(w.shape, generator=problem.generator) for name, w in problem.weights.items()}

    def channel_score(self, scores: Tensor) -> Tensor:
        """One of the channel's scores: their mean would tend to 1/2."""
        return scores[:, 0]


def shuffle(masks: Masks, seed: int = 0) -> Masks:
    """The same number of weights in every layer, at random positions.

    If a network trains as well under shuffled masks, the method has found a good density for each layer and nothing
    about single weights (the ablation "randomly shuffling" of Frankle et al. 2021, see ``Random``).

    Raises:
        MaskError: an argument has the wrong type, or the masks prune whole channels; ``find_masks(..., shuffle=True)``
            shuffles those.
    """
    if not isinstance(masks, Masks):
        raise MaskError(f"masks must be Masks, got {shown(masks)}")
    seed = whole_number(seed, "seed", 2**64 - 1, -(2**63), MaskError)
    if masks.info.get("structured") is not None:
        raise MaskError(
            "these masks prune whole channels: shuffle them where they are found, by shuffle=True"
        )
    permuted = {n: permute(mask.flatten(), seed, n).reshape(mask.shape) for n, mask in masks.items()}
    return Masks(permuted, masks.info | {"shuffled": True, "shuffle_seed": seed}, masks.affine)


def permute(kept: Tensor, seed: int, layer: str, allowed: Tensor | None = None) -> Tensor:
    """Flags (1-D) of a layer in a random order; with ``allowed``, they move among the allowed positions only."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {layer}".encode()))
    places = torch.arange(kept.numel()) if allowed is None else allowed.nonzero().squeeze(1)
    result = kept.clone()
    result[places] = kept[places[torch.randperm(places.numel(), generator=generator)]]
    return result
