"""find_masks on real modules: which weights, which counts, which channels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from sparsenet.errors import MaskError
from tests.training.pruning.networks import small_net
from training.pruning import SCORERS, Masks, find_masks, prunable_weights
from training.pruning.problem import Problem
from training.pruning.prunable import from_channels, to_channels
from training.pruning.scores import Scorer, register

WEIGHTS = ["0.weight", "3.weight", "4.weight", "8.weight"]
DEPTHWISE = "3"


def total(model: nn.Module) -> int:
    return sum(weight.tensor.numel() for weight in prunable_weights(model).values())


def test_conv_and_linear_weights_only() -> None:
    assert list(find_masks(small_net(), sparsity=0.5)) == WEIGHTS


def test_shared_weight_is_counted_once() -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    assert list(find_masks(tied, sparsity=0.5)) == ["0.weight"]


@pytest.mark.filterwarnings("ignore:nothing is left")
@given(st.floats(0, 1), st.sampled_from(["l1", "random"]), st.integers(0, 3))
def test_global_count_is_exact(sparsity: float, method: str, seed: int) -> None:
    model = small_net()
    masks = find_masks(model, method, sparsity, scope="global", seed=seed, on_empty="allow")
    assert masks.nnz == total(model) - round(sparsity * total(model))


@given(st.integers(4, 768), st.integers(1, 9), st.sampled_from(["layer", "global", "erk"]))
def test_rounds_end_at_the_exact_budget(keep: int, rounds: int, scope: str) -> None:
    assert find_masks(small_net(), "l1", keep=keep, rounds=rounds, scope=scope).nnz == keep


def test_no_rounds() -> None:
    with pytest.raises(MaskError, match="rounds must be at least 1 and at most"):
        find_masks(small_net(), sparsity=0.5, rounds=0)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_keep_counts_weights(scope: str) -> None:
    assert find_masks(small_net(), keep=123, scope=scope).nnz == 123


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_erk_scope_gives_layers_the_densities_of_the_paper(sparsity: float) -> None:
    masks = find_masks(small_net(), sparsity=sparsity, scope="erk")
    assert masks.nnz == masks.total - round(sparsity * masks.total)
    scaled = {name: sum(mask.shape) / mask.numel() for name, mask in masks.items()}

    def kept(epsilon: float) -> float:
        return sum(min(1.0, epsilon * scaled[name]) * mask.numel() for name, mask in masks.items())

    low, high = 0.0, 100.0
    for _ in range(80):  # the one number of the paper, by bisection
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) < masks.nnz else (low, middle)
    for name, mask in masks.items():
        assert abs(int(mask.sum()) - min(1.0, low * scaled[name]) * mask.numel()) <= 1
    assert (masks.density_per_layer()["8.weight"] == 1.0) == (sparsity < 0.9)  # no denser than dense


def test_erk_scope_is_of_weights() -> None:
    with pytest.raises(MaskError, match="scope 'erk' tells densities of weights; structured='output'"):
        find_masks(small_net(), sparsity=0.5, scope="erk", structured="output")


@pytest.mark.parametrize("sparsity", [0.0, 0.05, 0.3, 0.85])
def test_layer_scope_matches_torch(sparsity: float) -> None:
    model = small_net()
    masks = find_masks(model, "l1", sparsity)
    for name in WEIGHTS:
        module = model.get_submodule(name.removesuffix(".weight"))
        prune.l1_unstructured(module, "weight", amount=sparsity)
        assert torch.equal(masks[name], module.weight_mask.bool())


def test_global_scope_matches_torch() -> None:
    model = small_net()
    masks = find_masks(model, "l1", 0.7, scope="global")
    modules = [model.get_submodule(name.removesuffix(".weight")) for name in WEIGHTS]
    prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=0.7)
    for name, module in zip(WEIGHTS, modules, strict=True):
        assert torch.equal(masks[name], module.weight_mask.bool())


def test_global_differs_from_layer_when_scales_differ() -> None:
    model = small_net()
    with torch.no_grad():
        model[0].weight.mul_(1e6)
    density = find_masks(model, sparsity=0.5, scope="global").density_per_layer()
    assert density["0.weight"] == 1.0
    assert find_masks(model, sparsity=0.5).density_per_layer()["0.weight"] == 0.5


@pytest.mark.parametrize("structured, dim", [("output", 0), ("input", 1)])
def test_structured_l1_matches_torch(structured: str, dim: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(10, 20, 3)
    masks = find_masks(conv, sparsity=0.3, structured=structured)
    prune.ln_structured(conv, "weight", amount=0.3, n=1, dim=dim)
    assert torch.equal(masks["weight"], conv.weight_mask.bool())


@given(st.floats(0, 1), st.sampled_from(["layer", "global"]), st.sampled_from(["l1", "random"]))
def test_structured_output_prunes_whole_channels(sparsity: float, scope: str, method: str) -> None:
    masks = find_masks(small_net(), method, sparsity, scope=scope, structured="output")
    for mask in masks.weights.values():
        rows = mask.flatten(1)
        assert torch.equal(rows.all(dim=1), rows.any(dim=1))
        assert rows.any()


def test_structured_input_removes_the_influence_of_the_channel() -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(8, 12, 3, groups=2)
    with torch.no_grad():  # channel 5 = second of group 1, and channel 0, are the least important
        conv.weight[6:, 1] *= 1e-3
        conv.weight[:6, 0] *= 1e-3
    masks = find_masks(conv, sparsity=0.25, structured="input")
    masks.apply(conv)
    x = torch.randn(1, 8, 5, 5)
    changed = x.clone()
    changed[:, [0, 5]] += 1
    assert torch.equal(conv(x), conv(changed))
    assert masks.sparsity == 0.25


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("axis", ["output", "input"])
def test_channel_view_and_its_inverse(axis: str, groups: int) -> None:
    weight = torch.arange(8 * (8 // groups) * 9).reshape(8, 8 // groups, 3, 3)
    channels = to_channels(weight, axis, groups)
    for kept_channel in range(8):
        flags = torch.arange(8) == kept_channel
        mask = from_channels(flags, weight.shape, axis, groups)
        assert sorted(weight[mask].tolist()) == sorted(channels[kept_channel].tolist())


def test_structured_global_budget_is_never_exceeded() -> None:
    model = small_net()
    masks = find_masks(model, sparsity=0.5, scope="global", structured="output")
    assert masks.nnz <= total(model) - round(0.5 * total(model))
    assert masks.nnz > 0.45 * total(model)


def test_random_is_seeded() -> None:
    model = small_net()
    first = find_masks(model, "random", 0.5, seed=1)
    assert first == find_masks(model, "random", 0.5, seed=1)
    assert first != find_masks(model, "random", 0.5, seed=2)


def test_random_does_not_disturb_the_global_generator() -> None:
    state = torch.get_rng_state()
    find_masks(small_net(), "random", 0.5)
    torch.manual_seed(0)
    small_net()
    after_seed = torch.get_rng_state()
    torch.manual_seed(0)
    model = small_net()
    find_masks(model, "random", 0.5)
    assert torch.equal(torch.get_rng_state(), after_seed)
    torch.set_rng_state(state)


def test_include_and_exclude_take_layer_or_parameter_names() -> None:
    model = nn.ModuleDict({"fpn": small_net(), "head": nn.Linear(3, 2)})
    assert list(find_masks(model, sparsity=0.5, include=["head"])) == ["head.weight"]
    assert list(find_masks(model, sparsity=0.5, include=["fpn.*"], exclude=["*.0.weight", "fpn.8"])) == [
        "fpn.3.weight",
        "fpn.4.weight",
    ]


def test_pattern_without_a_match_lists_the_layers() -> None:
    with pytest.raises(MaskError, match=r"'ssh\.\*'.*0, 3, 4, 8"):
        find_masks(small_net(), sparsity=0.5, include=["ssh.*"])


def test_nothing_left_to_prune() -> None:
    with pytest.raises(MaskError, match="nothing to prune"):
        find_masks(small_net(), sparsity=0.5, exclude=["*"])
    with pytest.raises(MaskError, match="nothing to prune"):
        find_masks(nn.BatchNorm2d(3), sparsity=0.5)


def test_unknown_method_lists_the_known() -> None:
    with pytest.raises(MaskError, match="there are: force, grasp, iterative-snip, l1, random, snip, synflow"):
        find_masks(small_net(), "magic", 0.5)


def test_unknown_structure() -> None:
    with pytest.raises(MaskError, match="diagonal"):
        find_masks(small_net(), sparsity=0.5, structured="diagonal")


def test_nan_weight_names_the_layer() -> None:
    model = small_net()
    with torch.no_grad():
        model[4].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(MaskError, match=r"4\.weight"):
        find_masks(model, sparsity=0.5, scope="global")


def test_guard_keeps_a_weak_layer_alive_and_says_so() -> None:
    model = small_net()
    with torch.no_grad():
        model[3].weight.mul_(1e-6)
    masks = find_masks(model, sparsity=0.8, scope="global", min_density=0.1)
    assert masks.info["rescued"] == ["3.weight"]
    assert masks["3.weight"].sum() == 8  # 10 % of 72, rounded up
    assert masks.nnz == total(model) - round(0.8 * total(model))
    with pytest.raises(MaskError, match=r"3\.weight"):
        find_masks(model, sparsity=0.8, scope="global", on_empty="raise")


@pytest.mark.parametrize("structured", [None, "output", "input"])
@pytest.mark.parametrize("method", ["l1", "random"])
def test_within_never_revives(structured: str | None, method: str) -> None:
    model = small_net()
    first = find_masks(model, method, 0.5, structured=structured)
    second = find_masks(model, method, 0.75, structured=structured, within=first, seed=9)
    assert (first & second) == second
    assert second.nnz < first.nnz


def test_within_of_another_shape() -> None:
    other = Masks({"0.weight": torch.ones(2, 2)})
    with pytest.raises(MaskError, match=r"0\.weight.*\(2, 2\)"):
        find_masks(small_net(), sparsity=0.5, within=other)


def test_model_is_left_alone() -> None:
    model, fresh = small_net(), small_net()
    find_masks(model, sparsity=0.5)
    for after, before in zip(model.state_dict().values(), fresh.state_dict().values(), strict=True):
        assert torch.equal(after, before)


def test_a_registered_scorer_sees_batches_and_loss() -> None:
    class FirstGradient(Scorer):
        name = "first-gradient"
        citation = "test only"
        needs_data = True

        def score(self, problem: Problem) -> dict[str, torch.Tensor]:
            return {name: g.abs() for name, g in problem.gradients(problem.leaves()).items()}

    register(FirstGradient)
    try:
        linear = nn.Linear(3, 1, bias=False)
        batches = [(torch.tensor([[1.0, 3.0, 2.0]]), torch.zeros(1, 1))]
        masks = find_masks(
            linear, "first-gradient", keep=1, batches=batches, loss=lambda output, _: output.sum()
        )
        assert masks["weight"].tolist() == [[False, True, False]]
        with pytest.raises(ValueError, match="already"):
            register(FirstGradient)
    finally:
        del SCORERS["first-gradient"]


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_every_scorer_cites_its_source(name: str) -> None:
    assert any(year in SCORERS[name].citation for year in ("201", "202"))
    assert "section" in SCORERS[name].citation
