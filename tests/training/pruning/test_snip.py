"""SNIP against differences of the loss when a connection's gate moves; its iterated forms against their definition."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net, smooth_net
from training.pruning import find_masks, prunable_weights, score_weights

LOSS = F.cross_entropy


def samples(n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    x, y = batch(seed, n)
    return x[:, :, :5, :5].double(), y


def gate_derivatives(model: nn.Module, name: str, x: Tensor, y: Tensor, step: float = 1e-5) -> Tensor:
    """∂L/∂c at c = 1 by central differences, one gate after the other: c multiplies its weight."""
    model = copy.deepcopy(model)
    weight = model.get_parameter(name).data
    result = torch.empty_like(weight)
    for index in range(weight.numel()):
        value = weight.view(-1)[index].item()
        losses = []
        for c in (1 + step, 1 - step):
            weight.view(-1)[index] = c * value
            with torch.no_grad():
                losses.append(LOSS(model(x), y))
        weight.view(-1)[index] = value
        result.view(-1)[index] = (losses[0] - losses[1]) / (2 * step)
    return result


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_scores_are_gate_derivatives(mode: str, activation: type[nn.Module]) -> None:
    model = smooth_net(activation=activation)
    x, y = samples()
    scores = score_weights(model, "snip", [(x, y)], LOSS, mode=mode)
    model.train(mode == "train")
    expected = {name: gate_derivatives(model, name, x, y).abs() for name in scores}
    total = sum(float(e.sum()) for e in expected.values())
    assert list(scores) == list(prunable_weights(model))
    for name, score in scores.items():
        torch.testing.assert_close(score, expected[name] / total, rtol=1e-5, atol=1e-9)


@given(st.integers(0, 5), st.sampled_from([["0"], ["0", "6"], None]))
def test_scores_sum_to_one_over_the_scope(seed: int, include: list[str] | None) -> None:
    x, y = batch(seed)
    scores = score_weights(
        small_net(seed), "snip", [(x, y)], LOSS, include=include if include != ["0", "6"] else ["0", "8"]
    )
    assert sum(float(s.sum()) for s in scores.values()) == pytest.approx(1, abs=1e-12)


def test_relative_order_does_not_depend_on_the_scope() -> None:
    x, y = batch()
    everything = score_weights(small_net(), "snip", [(x, y)], LOSS)
    one = score_weights(small_net(), "snip", [(x, y)], LOSS, include=["4"])["4.weight"]
    share = everything["4.weight"]
    torch.testing.assert_close(share / share.sum(), one, rtol=1e-6, atol=1e-12)


def test_global_masks_keep_the_highest_scores() -> None:
    x, y = batch()
    model = small_net()
    masks = find_masks(model, "snip", keep=100, batches=[(x, y)], loss=LOSS, on_empty="allow")
    assert masks.info["scope"] == "global"
    scores = score_weights(model, "snip", [(x, y)], LOSS)
    kept = torch.cat([scores[name][masks[name]] for name in masks])
    pruned = torch.cat([scores[name][~masks[name]] for name in masks])
    assert kept.numel() == 100
    assert kept.min() >= pruned.max()


def test_a_loss_that_notices_nothing() -> None:
    x, y = batch()
    with pytest.raises(MaskError, match="every gradient is zero"):
        find_masks(small_net(), "snip", 0.5, batches=[(x, y)], loss=lambda output, y: (output * 0).sum())
    with pytest.raises(MaskError, match="does not depend on any"):
        find_masks(small_net(), "snip", 0.5, batches=[(x, y)], loss=lambda output, y: y.float().mean())


@pytest.mark.parametrize("method", ["iterative-snip", "force"])
def test_rounds_follow_their_definition(method: str) -> None:
    """de Jorge et al. 2021: prune to k_t = N (k/N)^(t/T), score the pruned network, repeat."""
    x, y = samples()
    model, keep, rounds = smooth_net(), 20, 4
    names = list(prunable_weights(model))
    dense = torch.cat([model.get_parameter(n).detach().flatten() for n in names])
    kept = torch.ones_like(dense, dtype=torch.bool)
    for number in range(1, rounds + 1):
        pruned = copy.deepcopy(model)
        for name, flags in zip(
            names, kept.split([model.get_parameter(n).numel() for n in names]), strict=True
        ):
            pruned.get_parameter(name).data.mul_(flags.reshape(model.get_parameter(name).shape))
        LOSS(pruned(x), y).backward()
        gradient = torch.cat([pruned.get_parameter(n).grad.flatten() for n in names])
        saliency = (gradient * dense).abs()
        if method == "iterative-snip":
            saliency[~kept] = -1
        count = round(len(dense) * (keep / len(dense)) ** (number / rounds))
        kept = torch.zeros_like(kept).index_fill(0, saliency.topk(count).indices, True)
    masks = find_masks(
        model, method, keep=keep, rounds=rounds, batches=[(x, y)], loss=LOSS, on_empty="keep", mode="train"
    )
    assert torch.equal(torch.cat([masks[n].flatten() for n in names]), kept)


def test_single_shot_and_one_round_are_the_same() -> None:
    x, y = batch()
    flags = {"keep": 50, "batches": [(x, y)], "loss": LOSS}
    once = find_masks(small_net(), "snip", **flags)
    assert find_masks(small_net(), "iterative-snip", rounds=1, **flags) == once
    assert find_masks(small_net(), "snip", rounds=5, **flags) == find_masks(
        small_net(), "iterative-snip", rounds=5, **flags
    )
    assert find_masks(small_net(), "snip", rounds=5, **flags) != once
