"""What any criterion has to beat: random masks, and its own masks shuffled within each layer."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from sparsenet.checks import shown, whole_number
from sparsenet.errors import MaskError
from training.pruning.block_shape import block_length
from training.pruning.blocks import block_sizes, from_blocks, to_blocks
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

    def unit_score(self, scores: Tensor, sizes: int | Tensor) -> Tensor:
        """One of the unit's scores: their mean would tend to 1/2."""
        return scores[:, 0]


def shuffle(masks: Masks, seed: int = 0) -> Masks:
    """The same number of weights in every layer, at random positions; of blocks, the same number of blocks.

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
    length = block_length(masks.info.get("block"))
    permuted = {}
    for name, mask in masks.items():
        sizes = torch.as_tensor(block_sizes(mask.shape, length))
        permuted[name] = from_blocks(permute(to_blocks(mask, length), seed, name, sizes), mask.shape)
    return Masks(permuted, masks.info | {"shuffled": True, "shuffle_seed": seed}, masks.affine)


def permute(kept: Tensor, seed: int, layer: str, sizes: Tensor) -> Tensor:
    """Flags of a layer's units, (units, …), in a random order: they move among units of one size, never to size 0.

    ``sizes`` is (units,), or () if all are alike.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {layer}".encode()))
    result, sizes = kept.clone(), sizes.expand(len(kept))
    for size in sizes.unique():
        places = (sizes == size).nonzero().squeeze(1)
        if size > 0:
            result[places] = kept[places[torch.randperm(places.numel(), generator=generator)]]
    return result
