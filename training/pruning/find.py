"""``find_masks``: score the weights, select within the budget, return the masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from sparsenet.errors import MaskError
from training.pruning.affine import affine_masks
from training.pruning.channel_flow import ChannelFlow, channel_flow
from training.pruning.masks import Masks
from training.pruning.prunable import (
    PrunableWeight,
    from_channels,
    prunable_weights,
    to_channels,
)
from training.pruning.scores import Batches, Loss, get_scorer
from training.pruning.select import Budget, OnEmpty, Scope, select

Structured = Literal["output", "input"]


def find_masks(
    model: nn.Module,
    method: str = "l1",
    sparsity: float | None = None,
    keep: int | None = None,
    scope: Scope = "layer",
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    batches: Batches | None = None,
    loss: Loss | None = None,
    seed: int = 0,
    min_density: float = 0.0,
    on_empty: OnEmpty = "keep",
    structured: Structured | None = None,
    within: Masks | None = None,
    prune_affine: bool = True,
) -> Masks:
    """Masks of the weights worth keeping; the model is not changed (see ``Masks.apply``).

    method      a registered scorer: "l1", "random", …
    sparsity    fraction of zeros over the chosen layers (of channels, for structured pruning within a layer);
                or keep: the number of weights that stay. Exactly one of the two.
    scope       "layer": the same share in every layer; "global": the best weights wherever they are.
    include     shell patterns of layers to prune (default: every Conv2d and Linear); exclude: to leave whole.
    batches     (x, y) pairs, and loss(model(x), y): for scorers that look at gradients.
    min_density, on_empty   the guard against emptied layers, see ``select.select``.
    structured  None: single weights. "output": whole output channels (Li et al. 2017); "input": whole input
                channels. Named apart because paper and code of the same work can differ in it. A depthwise
                convolution has no output channels of its own: it loses those that the layer before it loses.
    within      only weights kept by these masks may be kept.
    prune_affine  with structured="output", also mask the bias and the BatchNorm's γ and β of a pruned channel: the
                channel is then exactly 0 and can be cut out of the network (see ``affine``). Not part of the budget.

    ``Masks.info`` records all of it, and the layers that the guard rescued. Raises MaskError.
    """
    if structured not in (None, "output", "input"):
        raise MaskError(f"structured is output, input or nothing; got '{structured}'")
    budget = Budget(sparsity, keep)
    weights = prunable_weights(model, include, exclude)
    scorer = get_scorer(method)
    generator = torch.Generator().manual_seed(seed)
    scores = scorer.score(model, list(weights), batches, loss, generator)

    flow = channel_flow(model) if structured == "output" else ChannelFlow()
    leaders = {
        name: leader
        for name, weight in weights.items()
        if (leader := f"{flow.leaders.get(weight.layer)}.weight") in weights
    }
    units: dict[str, Tensor] = {}
    unit_sizes: dict[str, int] = {}
    for name, weight in weights.items():
        if name in leaders:
            continue
        score = scores[name].detach().to("cpu", torch.float32)
        allowed = _allowed(weight, within)
        if structured is None:
            units[name] = score.flatten().masked_fill(~allowed.flatten(), -math.inf)
            unit_sizes[name] = 1
        else:
            by_channel = scorer.channel_score(to_channels(score, structured, weight.groups))
            alive = to_channels(allowed, structured, weight.groups).any(dim=1)
            units[name] = by_channel.masked_fill(~alive, -math.inf)
            unit_sizes[name] = score.numel() // by_channel.numel()
    for name, leader in leaders.items():
        unit_sizes[leader] += weights[name].tensor[0].numel()

    selection = select(units, unit_sizes, budget, scope, min_density, on_empty)
    tensors: dict[str, Tensor] = {}
    for name, weight in weights.items():
        kept, shape = selection.kept[leaders.get(name, name)], weight.tensor.shape
        if structured is None:
            tensors[name] = kept.reshape(shape)
        else:
            tensors[name] = from_channels(kept, shape, structured, weight.groups) & _allowed(weight, within)
    info = {
        "method": method,
        "seed": seed,
        "sparsity": sparsity,
        "keep": keep,
        "scope": scope,
        "structured": structured,
        "min_density": min_density,
        "rescued": list(selection.rescued),
    }
    affine: dict[str, Tensor] = {}
    if structured == "output" and prune_affine:
        affine = affine_masks(model, tensors, flow.batch_norms)
    if within is not None:
        affine |= {name: within[name] & affine.get(name, within[name]) for name in within.affine}
    return Masks(tensors | affine, info, affine=affine)


def _allowed(weight: PrunableWeight, within: Masks | None) -> Tensor:
    if within is None or weight.name not in within:
        return torch.ones(weight.tensor.shape, dtype=torch.bool)
    if within[weight.name].shape != weight.tensor.shape:
        raise MaskError(
            f"mask of '{weight.name}' has shape {tuple(within[weight.name].shape)}, "
            f"the weight has {tuple(weight.tensor.shape)}"
        )
    return within[weight.name]
