"""What is kept or pruned as a whole: single weights, or channels together with the depthwise filters behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from training.pruning.channel_flow import ChannelFlow, channel_flow
from training.pruning.controls import permute
from training.pruning.prunable import PrunableWeight, from_channels, to_channels
from training.pruning.scores import Scorer

Structured = Literal["output", "input"]


class Units:
    """Weight tensors seen as 1-D rows of units, one row per layer, and back.

    ``structured`` None makes every weight a unit of its own; "output" and "input" make every channel one. With
    "output", a depthwise convolution has no row: its channels live and die with those of the layer before it.
    Weights outside ``allowed`` (name → bool tensor of the weight's shape) can never be kept.
    """

    def __init__(
        self, model: nn.Module, weights: Mapping[str, PrunableWeight], structured: Structured | None
    ) -> None:
        self.flow = channel_flow(model) if structured == "output" else ChannelFlow()
        self.structured = structured
        self._weights = weights
        self._leaders = {
            name: leader
            for name, weight in weights.items()
            if (leader := f"{self.flow.leaders.get(weight.layer)}.weight") in weights
        }

    def sizes(self) -> dict[str, int]:
        """Layer → weights per unit."""
        sizes = {}
        for name, weight in self._weights.items():
            if name not in self._leaders:
                sizes[name] = weight.tensor.numel() // self._view(weight.tensor, weight).shape[0]
        for name, leader in self._leaders.items():
            sizes[leader] += self._weights[name].tensor[0].numel()
        return sizes

    def scores(
        self, scores: Mapping[str, Tensor], allowed: Mapping[str, Tensor], scorer: Scorer
    ) -> dict[str, Tensor]:
        """Layer → scores of its units (CPU, float64), -inf where nothing of a unit is allowed."""
        rows = {}
        for name, weight in self._weights.items():
            if name in self._leaders:
                continue
            view = self._view(scores[name].detach().to("cpu").double(), weight)
            row = view.squeeze(1) if self.structured is None else scorer.channel_score(view)
            rows[name] = row.masked_fill(~self._alive(name, allowed), -math.inf)
        return rows

    def masks(self, kept: Mapping[str, Tensor], allowed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parameter name → bool mask of its shape, from the flags of the units."""
        masks = {}
        for name, weight in self._weights.items():
            flags, shape = kept[self._leaders.get(name, name)], weight.tensor.shape
            if self.structured is None:
                masks[name] = flags.reshape(shape)
            else:
                masks[name] = from_channels(flags, shape, self.structured, weight.groups) & allowed[name]
        return masks

    def shuffled(
        self, kept: Mapping[str, Tensor], allowed: Mapping[str, Tensor], seed: int
    ) -> dict[str, Tensor]:
        """As many units of every layer, elsewhere among its allowed ones."""
        return {name: permute(flags, seed, name, self._alive(name, allowed)) for name, flags in kept.items()}

    def _alive(self, name: str, allowed: Mapping[str, Tensor]) -> Tensor:
        return self._view(allowed[name], self._weights[name]).any(dim=1)

    def _view(self, tensor: Tensor, weight: PrunableWeight) -> Tensor:
        """(units, weights per unit)."""
        if self.structured is None:
            return tensor.reshape(-1, 1)
        return to_channels(tensor, self.structured, weight.groups)
