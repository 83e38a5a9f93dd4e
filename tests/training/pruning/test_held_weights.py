"""Masks of weights that are no plain parameters: weight and spectral normalisation, parametrizations, lazy and meta."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, spectral_norm, weight_norm

import sparsenet
from converters import from_torch
from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net, take_steps
from training.pruning import Masks, find_masks, score_weights

Wrap = Callable[[nn.Module], nn.Module]


def old_weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of parametrizations
        return weight_norm(module)


WRAPS = {
    "weight_norm": old_weight_norm,
    "spectral_norm": spectral_norm,
    "parametrizations.weight_norm": parametrizations.weight_norm,
    "parametrizations.spectral_norm": parametrizations.spectral_norm,
}


def wrapped(wrap: Wrap, seed: int = 0) -> nn.Module:
    model = small_net(seed)
    for name in (0, 8):
        model[name] = wrap(model[name])
    return model


def plain(model: nn.Module) -> nn.Module:
    """The same network with its weights as they are used now."""
    model.eval()
    model(batch()[0])  # what hooks compute is as old as the last call
    other = small_net(1)
    for own, theirs in zip(other, model, strict=True):
        if hasattr(own, "weight"):
            own.weight.data.copy_(theirs.weight)
            own.bias.data.copy_(theirs.bias)
    return other.eval()


@pytest.mark.parametrize("kind", WRAPS)
@pytest.mark.parametrize("method", ["l1", "snip", "grasp", "synflow"])
def test_masks_are_those_of_the_weights_in_use(kind: str, method: str) -> None:
    model = wrapped(WRAPS[kind])
    options = {"sparsity": 0.6, "batches": [batch()], "loss": nn.functional.cross_entropy, "mode": "eval"}
    assert find_masks(model, method, **options) == find_masks(plain(model), method, **options)


@pytest.mark.parametrize("kind", WRAPS)
def test_scores_have_the_plain_names(kind: str) -> None:
    scores = score_weights(wrapped(WRAPS[kind]), "snip", [batch()], nn.functional.cross_entropy)
    assert list(scores) == ["0.weight", "3.weight", "4.weight", "8.weight"]


@pytest.mark.parametrize("kind", WRAPS)
def test_pruned_weights_stay_zero_in_use_and_in_the_engine(kind: str) -> None:
    model = wrapped(WRAPS[kind])
    masks = find_masks(model, sparsity=0.7)
    masks.apply(model)
    take_steps(
        model,
        torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=0.1),
        1,
        4,
        masks.after_step,
    )
    masks.finalize(model)
    masks.check(model)
    model.eval()
    x = batch()[0]
    expected = model(x).detach().numpy()
    for name in (0, 8):
        assert not model[name].weight[~masks[f"{name}.weight"]].any()
    graph = from_torch(model, x)
    np.testing.assert_allclose(sparsenet.Engine(graph, threads=1)(x.numpy()), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", WRAPS)
def test_a_channel_without_weights_is_zero_and_no_nan(kind: str) -> None:
    model = wrapped(WRAPS[kind])
    mask = torch.ones(8, 3, 3, 3, dtype=torch.bool)
    mask[2] = False
    masks = Masks({"0.weight": mask})
    masks.apply(model)
    model(batch()[0])
    masks.check(model)
    assert torch.isfinite(model[0].weight).all()
    assert model[0].weight[[0, 1, 3]].any()


def test_masks_for_the_converter_take_the_plain_names_as_well() -> None:
    model = wrapped(parametrizations.weight_norm).eval()
    masks = find_masks(model, sparsity=0.5)
    graph = from_torch(model, batch()[0], masks={"0.weight": masks["0.weight"]}, optimize=False)
    assert not graph.constants["0.weight"][~masks["0.weight"].numpy()].any()


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight + 1


def test_a_parametrization_that_makes_no_zeros_of_zeros_is_named() -> None:
    model = small_net()
    parametrize.register_parametrization(model[4], "weight", Doubled())
    with pytest.raises(MaskError, match=r"'4\.weight' is computed by a parametrization \(Doubled\).*exclude"):
        find_masks(model, sparsity=0.5)
    masks = find_masks(model, sparsity=0.5, exclude=["4"])
    assert "4.weight" not in masks
    with pytest.raises(MaskError, match="Doubled"):
        Masks({"4.weight": torch.ones(12, 4, 3, 3)}).apply(model)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_layer_is_said_to_be_one() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Conv2d(4, 4, 1))
    with pytest.raises(MaskError, match=r"'0\.weight' has no numbers yet: it is a lazy layer"):
        find_masks(model, sparsity=0.5)
    assert list(find_masks(model, sparsity=0.5, exclude=["0"])) == ["1.weight"]
    model(torch.zeros(1, 3, 8, 8))
    assert list(find_masks(model, sparsity=0.5)) == ["0.weight", "1.weight"]


def test_the_meta_device_has_no_numbers() -> None:
    with pytest.raises(MaskError, match="meta device"):
        find_masks(small_net().to("meta"), sparsity=0.5)
