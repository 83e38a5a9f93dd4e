"""GraSP: keep what lets the gradient flow."""

from __future__ import annotations

import torch
from torch import Tensor

from training.pruning.problem import Problem, derivatives
from training.pruning.scores import Scorer, register


@register
class Grasp(Scorer):
    """Gradient signal preservation: θ ⊙ H g, with g = ∂L/∂θ and H = ∂²L/∂θ² over the weights rated.

    Removing weight j changes the squared gradient norm gᵀg by about −2 θ_j (H g)_j, so the weights whose removal
    costs most gradient flow score highest. Weights that are zero, as pruned ones, carry no flow. As in the authors'
    code, the logits are divided by a temperature of 200 before the loss, which makes every class about as likely.
    """

    name = "grasp"
    citation = (
        "Wang, Zhang and Grosse 2020, Picking Winning Tickets Before Training by Preserving Gradient Flow, "
        "section 4"
    )
    needs_data = True
    foresight = True
    scope = "global"
    mode = "train"
    temperature = 200.0

    def score(self, problem: Problem) -> dict[str, Tensor]:
        """θ ⊙ H g by two passes: g over all samples, then the derivative of gᵀ·stop(g) batch by batch."""
        weights = problem.leaves()
        gradient = {name: g * (weights[name] != 0) for name, g in problem.gradients(weights).items()}
        product = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for part in problem.losses(weights):
            parts = derivatives(part, weights, create_graph=True)
            flow = sum((p * g).sum() for p, g in zip(parts, gradient.values(), strict=True))
            assert isinstance(flow, Tensor)
            for name, curvature in zip(weights, derivatives(flow, weights), strict=True):
                product[name] += curvature
        return {name: problem.weights[name] * product[name] for name in weights}
