"""Scoring leaves no trace on the model, and asks about samples, not about batches."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net
from training.pruning import SCORERS, find_masks, score_weights

METHODS = sorted(SCORERS)
WITH_DATA = [name for name in METHODS if SCORERS[name].needs_data]


def flags(**more: Any) -> dict[str, Any]:
    return {"batches": [batch(), batch(1, 3)], "loss": F.cross_entropy, "input_shape": (3, 8, 8)} | more


@pytest.mark.parametrize("mode", [None, "train", "eval", "current"])
@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was(method: str, mode: str | None) -> None:
    model = nn.Sequential(*small_net(), nn.Dropout(0.5)).train()
    model[1].eval()
    model[4].weight.requires_grad_(False)
    F.cross_entropy(model(batch()[0]), batch()[1]).backward()
    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    wanted = [p.requires_grad for p in model.parameters()]
    random_state = torch.get_rng_state()
    find_masks(model, method, 0.5, rounds=2, mode=mode, **flags())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == wanted
    for parameter, before in zip(model.parameters(), grads, strict=True):
        assert (parameter.grad is None) == (before is None)
        assert before is None or torch.equal(parameter.grad, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_model_is_left_as_it_was_by_an_error() -> None:
    model = small_net().eval()

    def fail(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no loss today")

    with pytest.raises(RuntimeError, match="no loss today"):
        find_masks(model, "snip", 0.5, mode="train", **flags(loss=fail))
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("method", METHODS)
def test_weights_held_by_torch_prune(method: str) -> None:
    """They count as they act; and the attribute that holds their product stays what it was."""
    model, plain = small_net(), small_net()
    prune.random_unstructured(model[4], "weight", amount=0.5)
    with torch.no_grad():
        plain[4].weight.copy_(model[4].weight)
    held = model[4].weight
    masks = find_masks(model, method, 0.5, rounds=2, mode="eval", **flags())
    assert masks == find_masks(plain, method, 0.5, rounds=2, mode="eval", **flags())
    assert model[4].weight is held


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_repeats_the_masks_exactly(method: str) -> None:
    model = nn.Sequential(*small_net(), nn.Dropout(0.5)).train()
    first = find_masks(model, method, 0.6, seed=4, rounds=3, **flags())
    torch.manual_seed(99)
    second = find_masks(model, method, 0.6, seed=4, rounds=3, **flags())
    assert first == second
    assert first.info == second.info


@given(st.lists(st.integers(0, 11), max_size=4), st.sampled_from(["snip", "grasp"]))
def test_scores_do_not_depend_on_the_split(cuts: list[int], method: str) -> None:
    """In eval mode, where BatchNorm treats every sample alone; batches of different sizes weigh by their samples."""
    x, y = batch(n=12)
    x = x.double()
    edges = [0, *sorted(set(cuts) - {0}), 12]
    parts = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(edges)]
    model = small_net().double().eval()
    whole = score_weights(model, method, [(x, y)], F.cross_entropy, mode="eval")
    for name, score in score_weights(model, method, parts, F.cross_entropy, mode="eval").items():
        torch.testing.assert_close(score, whole[name], rtol=1e-9, atol=1e-15)


def test_training_mode_normalises_by_the_batch() -> None:
    model, (x, y) = small_net(), batch()
    training, evaluation = (
        score_weights(model, "snip", [(x, y)], F.cross_entropy, mode=mode)["0.weight"]
        for mode in ("train", "eval")
    )
    assert not torch.allclose(training, evaluation, rtol=0.01)


@pytest.mark.parametrize("method, mode", [("snip", "eval"), ("force", "eval"), ("grasp", "train")])
def test_the_mode_is_that_of_the_methods_authors(method: str, mode: str) -> None:
    for model in (small_net().train(), small_net().eval()):
        own = find_masks(model, method, 0.5, rounds=1, **flags())
        assert own == find_masks(model, method, 0.5, rounds=1, mode=mode, **flags())
        assert own.info["mode"] == mode


def test_an_unknown_mode_or_temperature() -> None:
    with pytest.raises(MaskError, match="mode must be one of train, eval, current"):
        find_masks(small_net(), "snip", 0.5, mode="test", **flags())
    for temperature in (0, -1, float("nan"), float("inf")):
        with pytest.raises(MaskError, match="temperature"):
            find_masks(small_net(), "grasp", 0.5, temperature=temperature, **flags())


def test_the_temperature_divides_every_answer() -> None:
    def loss(outputs: dict, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(outputs["first"], y) + F.cross_entropy(outputs["rest"][0], y)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.scale = small_net(), 1.0

        def forward(self, x: torch.Tensor) -> dict:
            out = self.net(x) * self.scale
            return {"first": out, "rest": (2 * out,)}

    cooled, scaled = Two(), Two()
    scaled.scale = 1 / 200
    options = {"loss": loss, "batches": [batch()], "mode": "eval"}
    for name, score in score_weights(cooled, "grasp", **options).items():
        torch.testing.assert_close(
            score, score_weights(scaled, "grasp", temperature=1, **options)[name], rtol=1e-4, atol=0
        )


def test_batches_may_come_from_a_generator_and_labels_in_containers() -> None:
    x, y = batch()
    stream = ((x, {"label": [y]}) for _ in range(2))
    masks = find_masks(
        small_net(),
        "snip",
        0.5,
        batches=stream,
        loss=lambda out, y: F.cross_entropy(out, y["label"][0]),
        rounds=2,
    )
    assert masks == find_masks(small_net(), "snip", 0.5, batches=[(x, y)], loss=F.cross_entropy, rounds=2)
    assert masks.info["batches"][0] == masks.info["batches"][1]


@pytest.mark.parametrize("method", WITH_DATA)
def test_data_is_asked_for(method: str) -> None:
    for missing in ({"batches": None}, {"batches": []}, {"loss": None}):
        with pytest.raises(MaskError, match=f"'{method}' looks at gradients: give batches"):
            find_masks(small_net(), method, 0.5, **flags(**missing))


def test_info_tells_which_batches() -> None:
    info = find_masks(small_net(), "snip", 0.5, **flags()).info
    assert [b["samples"] for b in info["batches"]] == [8, 3]
    other = find_masks(small_net(), "snip", 0.5, **flags(batches=[batch(), batch(2, 3)])).info
    assert info["batches"][0] == other["batches"][0]
    assert info["batches"][1] != other["batches"][1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_gives_the_same_masks(method: str) -> None:
    options = flags(mode="eval", rounds=2)
    options["batches"] = [(x.double(), y) for x, y in options["batches"]]
    model = small_net().double()
    on_cpu = find_masks(model, method, 0.5, **options)
    on_gpu = find_masks(model.cuda(), method, 0.5, **options)
    assert on_gpu == on_cpu
