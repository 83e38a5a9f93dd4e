"""What is kept or pruned as a whole: weights, blocks of them, or channels with the depthwise filters behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from sparsenet.errors import MaskError
from training.pruning.block_shape import Block, block_length, block_text
from training.pruning.blocks import block_sizes, from_blocks, to_blocks
from training.pruning.channel_flow import ChannelFlow, channel_flow
from training.pruning.controls import permute
from training.pruning.prunable import PrunableWeight, from_channels, to_channels
from training.pruning.scores import Scorer
from training.pruning.select import Sizes

Structured = Literal["output", "input"]


class Units:
    """Weight tensors seen as 1-D rows of units, one row per layer, and back.

    With neither ``structured`` nor ``block`` every weight is a unit of its own; with ``block`` every block is one (see
    ``blocks``), with "output" and "input" every channel. With "output", a depthwise convolution has no row: its
    channels live and die with those of the layer before it.
    Weights outside ``allowed`` (name → bool tensor of the weight's shape) can never be kept; a unit of which a part is
    allowed counts as a whole one.

    Raises:
        MaskError: ``block`` is no block, or channels are asked for as well.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Mapping[str, PrunableWeight],
        structured: Structured | None,
        block: Block | None = None,
    ) -> None:
        self.flow = channel_flow(model) if structured == "output" else ChannelFlow()
        self.structured = structured
        self._length = block_length(block)
        if structured is not None and block is not None:
            raise MaskError(
                f"structured='{structured}' prunes whole channels and block={block_text(block)} blocks: give one"
            )
        self._weights = weights
        self._leaders = {
            name: leader
            for name, weight in weights.items()
            if (leader := f"{self.flow.leaders.get(weight.layer)}.weight") in weights
        }

    def sizes(self) -> dict[str, Sizes]:
        """Layer → weights per unit."""
        if self.structured is None:
            return {
                name: block_sizes(weight.tensor.shape, self._length) for name, weight in self._weights.items()
            }
        sizes: dict[str, int] = {}
        for name, weight in self._weights.items():
            if name not in self._leaders:
                sizes[name] = weight.tensor.numel() // self._view(weight.tensor, weight).shape[0]
        for name, leader in self._leaders.items():
            sizes[leader] += self._weights[name].tensor[0].numel()
        return dict(sizes)

    def scores(
        self, scores: Mapping[str, Tensor], allowed: Mapping[str, Tensor], scorer: Scorer
    ) -> dict[str, Tensor]:
        """Layer → scores of its units (CPU, float64), -inf where nothing of a unit is allowed."""
        rows = {}
        for name, weight in self._weights.items():
            if name in self._leaders:
                continue
            view = self._view(scores[name].detach().to("cpu").double(), weight)
            sizes = view.shape[1] if self.structured else block_sizes(weight.tensor.shape, self._length)
            rows[name] = scorer.unit_score(view, sizes).masked_fill(~self._alive(name, allowed), -math.inf)
        return rows

    def masks(self, kept: Mapping[str, Tensor], allowed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parameter name → bool mask of its shape, from the flags of the units."""
        masks = {}
        for name, weight in self._weights.items():
            flags, shape = kept[self._leaders.get(name, name)], weight.tensor.shape
            if self.structured is None:
                spread = from_blocks(flags.unsqueeze(1).expand(-1, self._length), shape)
            else:
                spread = from_channels(flags, shape, self.structured, weight.groups)
            masks[name] = spread & allowed[name]
        return masks

    def shuffled(
        self, kept: Mapping[str, Tensor], allowed: Mapping[str, Tensor], seed: int
    ) -> dict[str, Tensor]:
        """As many units of every layer and size, elsewhere among its allowed ones."""
        sizes = self.sizes()
        return {
            name: permute(flags, seed, name, self._alive(name, allowed) * torch.as_tensor(sizes[name]))
            for name, flags in kept.items()
        }

    def _alive(self, name: str, allowed: Mapping[str, Tensor]) -> Tensor:
        return self._view(allowed[name], self._weights[name]).any(dim=1)

    def _view(self, tensor: Tensor, weight: PrunableWeight) -> Tensor:
        """(units, weights per unit)."""
        if self.structured is None:
            return to_blocks(tensor, self._length)
        return to_channels(tensor, self.structured, weight.groups)
