"""SynFlow: its formula on a perceptron, the conservation law, and layers that survive."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net
from training.models import build_model
from training.pruning import find_masks, score_weights

ACTIVATIONS = [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.Tanh]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_formula_on_a_perceptron(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    a, b, c = nn.Linear(5, 7), nn.Linear(7, 6), nn.Linear(6, 3)
    model = nn.Sequential(a, activation(), nn.Dropout(0.5), b, activation(), c)
    scores = score_weights(model, "synflow", input_shape=(5,))
    A, B, C = (layer.weight.detach().double().abs() for layer in (a, b, c))
    one = torch.ones(5, dtype=torch.float64)
    expected = {
        "0.weight": A * torch.outer((C @ B).sum(0), one),
        "3.weight": B * torch.outer(C.sum(0), A @ one),
        "5.weight": C * torch.outer(torch.ones(3, dtype=torch.float64), B @ A @ one),
    }
    for name, score in expected.items():
        torch.testing.assert_close(scores[name], score)


def chain(seed: int, activation: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), activation(), nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, groups=6), activation(), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 1, bias=False),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    for part in model:
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean):
                tensor.normal_()
            part.running_var.uniform_(0.5, 2)
    return model


@given(st.integers(0, 20), st.sampled_from(ACTIVATIONS), st.booleans())
def test_every_layer_of_a_chain_carries_the_same_flow(
    seed: int, activation: type[nn.Module], training: bool
) -> None:
    """Tanaka et al. 2020, theorem 1 for layers (biases and shifts are no part of the flow here)."""
    scores = score_weights(chain(seed, activation).train(training), "synflow", input_shape=(3, 8, 8))
    flows = [float(score.sum()) for score in scores.values()]
    assert all(score.min() >= 0 for score in scores.values())
    assert flows == pytest.approx([flows[0]] * 4, rel=1e-9)


def test_no_layer_runs_empty_where_magnitude_empties_some() -> None:
    """Four layers of a hundred and more weights each, one of them tiny: eight weights still make a path."""
    model = chain(3, nn.ReLU)
    model[4].weight.data.mul_(1e-3)
    flags = {"keep": 8, "scope": "global", "on_empty": "allow", "input_shape": (3, 8, 8)}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert find_masks(model, "synflow", **flags).info["emptied"] == []
    assert seen == []
    with pytest.warns(UserWarning, match=r"nothing is left of .*4\.weight"):
        assert "4.weight" in find_masks(model, "l1", **flags).info["emptied"]
    with pytest.warns(UserWarning, match="nothing is left of"):
        assert find_masks(model, "synflow", rounds=1, **flags).info["emptied"]


def test_no_data_but_a_shape_is_needed() -> None:
    with pytest.raises(MaskError, match="input_shape"):
        find_masks(small_net(), "synflow", 0.5)
    from_batch = find_masks(small_net(), "synflow", 0.5, batches=[batch()])
    assert find_masks(small_net(), "synflow", 0.5, input_shape=(3, 8, 8)) == from_batch
    assert from_batch.info["rounds"] == 100


def test_values_of_the_data_do_not_matter() -> None:
    masks = [find_masks(small_net(), "synflow", 0.7, batches=[batch(seed)], rounds=3) for seed in (0, 1)]
    assert masks[0] == masks[1]


@pytest.mark.parametrize("name", ["xception", "mobilenetv1"])
def test_deep_networks_stay_within_float64(name: str) -> None:
    scores = score_weights(build_model(name, 4), "synflow", input_shape=(3, 64, 64))
    assert all(torch.isfinite(score).all() for score in scores.values())
    assert all(score.sum() > 0 for score in scores.values())


def test_overflow_is_an_error() -> None:
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(40)])
    for layer in model:
        nn.init.constant_(layer.weight, 1e8)
    with pytest.raises(MaskError, match="too large for float64"):
        find_masks(model, "synflow", 0.5, input_shape=(8,))
