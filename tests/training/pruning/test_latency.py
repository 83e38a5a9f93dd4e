"""Zeros where they save most time: against all allocations there are, with floors, in rounds, in blocks and bytes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from converters.pruning.budget import LEVELS
from sparsenet.errors import InputError, MaskError
from sparsenet.graph import Graph
from tests.converters.pruning.networks import multiply_adds
from tests.training.pruning.networks import batch
from training.pruning import find_masks, prunable_weights, score_weights
from training.pruning.masks import Masks

#: Multiply-adds of a sample, by layer of ``network``.
MACS = {"0": 216 * 64, "3": 864 * 16, "7": 192 * 16, "10": 128}
DATA: dict[str, Any] = {"batches": [batch()], "loss": F.cross_entropy}


def network() -> nn.Sequential:
    """Four layers that zeros make faster, and a depthwise one; input (N, 3, 8, 8), 8 classes."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1, groups=12),
        nn.ReLU(),
        nn.Conv2d(12, 16, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 8),
    )


def found(method: str = "l1", **options: Any) -> Masks:
    asked = {"scope": "latency", "layer_ms": multiply_adds, "input_shape": (3, 8, 8), **DATA}
    return find_masks(network(), method, **asked | options)


def levels(masks: Masks) -> dict[str, float]:
    """By layer, the sparsity that is nearest to its mask's."""
    zeros = {
        name.removesuffix(".weight"): 1 - float(mask.float().mean()) for name, mask in masks.weights.items()
    }
    return {name: min(LEVELS, key=lambda level: abs(level - share)) for name, share in zeros.items()}


def _loss(method: str, scores: torch.Tensor, level: float) -> float:
    """Of a layer, single weights: the lowest scores, or the share of the squares that is gone."""
    rising = np.sort(scores.double().numpy(), axis=None)
    gone = rising[: rising.size - round((1 - level) * rising.size)]
    return float(np.square(gone).sum() / np.square(rising).sum() if method == "l1" else gone.sum())


@pytest.mark.parametrize("method", ["l1", "snip", "grasp"])
def test_it_is_the_best_of_all_allocations(method: str) -> None:
    model = network()
    scores = score_weights(model, method, **DATA)
    rated = {name: weight for name, weight in prunable_weights(model).items() if name != "5.weight"}
    layers = [weight.layer for weight in rated.values()]
    losses = [[_loss(method, scores[name], level) for level in LEVELS] for name in rated]
    sizes = [weight.tensor.numel() for weight in rated.values()]
    costs = [
        [MACS[layer] * round((1 - level) * size) / size / 1000 for level in LEVELS]
        for layer, size in zip(layers, sizes, strict=True)
    ]
    every = np.array(list(itertools.product(range(len(LEVELS)), repeat=len(layers))))
    loss, cost = (sum(np.array(row)[every[:, i]] for i, row in enumerate(table)) for table in (losses, costs))
    rest = 108 * 16 / 1000
    order = np.lexsort((cost, loss))
    frontier = order[cost[order] < np.minimum.accumulate(np.append(np.inf, cost[order][:-1]))]
    for best in frontier[np.linspace(len(frontier) // 8, len(frontier) - 9, 3, dtype=int)]:
        # More than rounding costs up to ten-thousandths of the budget can take, less than to the next allocation.
        masks = found(method, ms=float(cost[best] + rest) * 1.001)
        got = levels(masks)
        assert got.pop("5") == 0, "zeros of a depthwise layer save no time"
        at = [LEVELS.index(got[layer]) for layer in layers]
        index = int(np.flatnonzero((every == at).all(axis=1))[0])
        within = cost <= cost[best] * 1.001
        assert loss[index] == loss[within].min() == pytest.approx(loss[best], rel=0.02)
        assert masks.info["latency"]["ms"] == pytest.approx(cost[index] + rest)
        kept = [masks[name] for name in rated]
        for mask, score in zip(kept, (scores[name] for name in rated), strict=True):
            assert not mask.any() or not (~mask).any() or score[mask].min() >= score[~mask].max()


def test_blocks_and_rounds_end_where_the_first_scores_say() -> None:
    once = found("snip", speedup=3, block=(1, 4), rounds=1)
    rounds = found("iterative-snip", speedup=3, block=(1, 4), rounds=4)
    for name, mask in once.items():
        assert abs(int(mask.sum()) - int(rounds[name].sum())) < 4
    assert levels(once) == levels(rounds)
    assert not all(torch.equal(mask, rounds[name]) for name, mask in once.items())
    quads = once["3.weight"].view(12, 2, 4, 9)
    assert (quads.all(dim=2) == quads.any(dim=2)).all()
    assert 0 < quads.float().mean() < 1


def test_floors_and_layers_left_whole() -> None:
    free = levels(found(speedup=4))
    floored = found(speedup=3, min_density=0.25)
    assert max(levels(floored).values()) == 0.75 < max(free.values())
    whole = levels(found(speedup=1.5, whole=["0"]))
    assert whole["0"] == 0 < free["0"]
    assert "0" not in levels(found(speedup=1.5, exclude=["0"]))
    assert max(whole.values()) > 0


def test_what_is_fast_enough_loses_nothing_and_masks_go_on_from_others() -> None:
    assert not any(levels(found(speedup=1)).values())
    first = found(speedup=2)
    second = found(speedup=1.5, within=first)
    assert second.info["latency"]["dense_ms"] == pytest.approx(first.info["latency"]["ms"])
    assert all((mask <= first[name]).all() for name, mask in second.items())


def test_bytes_are_timed_in_bytes() -> None:
    asked: list[bool] = []

    def ask(graph: Graph) -> dict[str, float]:
        asked.append(bool(graph.quantization))
        return multiply_adds(graph)

    masks = found(speedup=2, int8=True, layer_ms=ask)
    assert all(asked)
    assert masks.info["latency"]["int8"]
    assert not masks.info["latency"]["measured"]


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "needs either ms or speedup"),
        ({"ms": 1.0, "speedup": 2.0}, "needs either ms or speedup"),
        ({"ms": 0}, "ms must be"),
        ({"speedup": 0.5}, "speedup must be"),
        ({"speedup": 2, "sparsity": 0.5}, "scope 'latency' goes without sparsity"),
        ({"speedup": 2, "layer_ms": 3}, "layer_ms must be a function"),
        ({"speedup": 2, "structured": "output"}, "scope 'latency' tells densities of weights"),
        ({"speedup": 2, "include": ["5"]}, "zeros make none of these layers faster"),
        ({"speedup": 2, "input_shape": None, "batches": None}, "give input_shape"),
        ({"scope": "erk", "sparsity": 0.5, "speedup": 2, "layer_ms": None}, "scope 'erk' goes without speedup"),
        ({"ms": 1e-3}, "the network would take"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError if "would take" in message else MaskError, match=message):
        found(**options)
