"""Magnitude pruning: small weights matter least."""

from __future__ import annotations

import torch
from torch import Tensor

from training.pruning.problem import Problem
from training.pruning.scores import Scorer, register


@register
class L1(Scorer):
    """|w|."""

    name = "l1"
    citation = (
        "unstructured: Han, Pool, Tran and Dally 2015, Learning both Weights and Connections, section 3; "
        "channels: Li et al. 2017, Pruning Filters for Efficient ConvNets, section 3.1"
    )

    def score(self, problem: Problem) -> dict[str, Tensor]:
        """Absolute value of the weight."""
        return {name: weight.abs() for name, weight in problem.weights.items()}

    def loss(self, scores: Tensor, sizes: int | Tensor) -> Tensor:
        """The share of the layer's squares, as layers differ in scale (Lee et al. 2021, LAMP, section 3.1)."""
        squares = scores.square() * sizes
        return squares / squares.sum().clamp(min=torch.finfo(squares.dtype).tiny)
