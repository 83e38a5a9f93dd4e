"""GraSP against a Hessian-vector product by finite differences, and against what it stands for."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training.pruning.networks import batch, smooth_net
from training.pruning import find_masks, prunable_weights, score_weights


def gradients(model: nn.Module, names: list[str], x: Tensor, y: Tensor) -> list[Tensor]:
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    return [model.get_parameter(name).grad.clone() for name in names]


def moved(model: nn.Module, names: list[str], direction: list[Tensor], step: float) -> nn.Module:
    model = copy.deepcopy(model)
    for name, d in zip(names, direction, strict=True):
        model.get_parameter(name).data += step * d
    return model


def data() -> tuple[Tensor, Tensor]:
    x, y = batch(n=6)
    return x[:, :, :5, :5].double(), y


def test_scores_are_weights_times_hessian_times_gradient() -> None:
    model, (x, y) = smooth_net(), data()
    names = list(prunable_weights(model))
    g = gradients(copy.deepcopy(model), names, x, y)
    step = 1e-4
    ahead = gradients(moved(model, names, g, step), names, x, y)
    behind = gradients(moved(model, names, g, -step), names, x, y)
    scores = score_weights(model, "grasp", [(x, y)], F.cross_entropy, temperature=1)
    for name, a, b in zip(names, ahead, behind, strict=True):
        expected = model.get_parameter(name).detach() * (a - b) / (2 * step)
        torch.testing.assert_close(scores[name], expected, rtol=1e-4, atol=1e-8)


def test_scores_predict_the_loss_of_gradient_flow() -> None:
    """d|g|²/dε for θ_j → (1 − ε) θ_j is −2 score_j: what is removed last costs most flow."""
    model, (x, y) = smooth_net(), data()
    names = list(prunable_weights(model))
    scores = score_weights(model, "grasp", [(x, y)], F.cross_entropy, temperature=1)
    step = 1e-4
    for name in names:
        unit = [torch.zeros_like(model.get_parameter(n)) for n in names]
        place = scores[name].abs().argmax()
        unit[names.index(name)].view(-1)[place] = model.get_parameter(name).view(-1)[place]
        ahead, behind = (
            sum(float((g**2).sum()) for g in gradients(moved(model, names, unit, s), names, x, y))
            for s in (-step, step)
        )
        slope = (ahead - behind) / (2 * step)
        torch.testing.assert_close(slope, -2 * float(scores[name].view(-1)[place]), rtol=1e-4, atol=1e-8)


def test_masks_keep_the_highest() -> None:
    model, (x, y) = smooth_net(), data()
    masks = find_masks(model, "grasp", 0.5, batches=[(x, y)], loss=F.cross_entropy, on_empty="allow")
    scores = score_weights(model, "grasp", [(x, y)], F.cross_entropy)
    assert min(s[masks[n]].min() for n, s in scores.items()) >= max(
        s[~masks[n]].max() for n, s in scores.items()
    )
