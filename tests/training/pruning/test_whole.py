"""Modified SNIP: layers that stay whole and still count; on the detector of the paper, weight for weight."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net
from training.models import build_detector
from training.pruning import SCORERS, Masks, find_masks, prunable_weights

SCOPE = ["fpn.*", "ssh.*"]
CONTEXT = ["ssh.*.context.*"]


@pytest.fixture(scope="module")
def retinaface() -> torch.nn.Module:
    """As SNIP meets it: the backbone with the statistics it came with, the new layers with those of the batch."""
    model = build_detector("retinaface-resnet50", seed=1)
    model.backbone.eval()
    return model


def loss(output: tuple[Tensor, Tensor, Tensor], target: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Of the detector's form: boxes and landmarks by smooth L1, classes by cross-entropy."""
    boxes, classes, landmarks = output
    found = F.cross_entropy(classes.flatten(0, 1), target[1].flatten())
    return found + F.smooth_l1_loss(boxes, target[0]) + F.smooth_l1_loss(landmarks, target[2])


def snip(model: torch.nn.Module, **budget) -> Masks:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 64, 64, generator=generator)
    priors = 2 * (8 * 8 + 4 * 4 + 2 * 2)
    target = tuple(torch.randn(2, priors, n, generator=generator) for n in (4, 10))
    faces = torch.randint(0, 2, (2, priors), generator=generator)
    return find_masks(
        model,
        "snip",
        batches=[(x, (target[0], faces, target[1]))],
        loss=loss,
        scope="global",
        include=SCOPE,
        **budget,
    )


def test_snip_keeps_what_the_paper_counts(retinaface: torch.nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in retinaface.state_dict().items()}
    masks = snip(retinaface, sparsity=1 - 10**-0.5)
    assert (masks.total, masks.nnz) == (3_756_032, 1_187_762)
    assert masks == snip(retinaface, keep=1_187_762)
    assert all(torch.equal(t, before[name]) for name, t in retinaface.state_dict().items())
    assert masks.info["emptied"] == masks.info["rescued"] == []
    density = masks.density_per_layer()
    assert max(density.values()) - min(density.values()) > 0.1


def test_modified_snip_keeps_the_context_branches_and_the_total(retinaface: torch.nn.Module) -> None:
    masks = snip(retinaface, sparsity=1 - 10**-0.5, whole=CONTEXT)
    context = [mask for name, mask in masks.items() if ".context." in name]
    others = [mask for name, mask in masks.items() if ".context." not in name]
    assert (masks.total, masks.nnz) == (3_756_032, 1_187_762)
    assert all(mask.all() for mask in context)
    assert sum(mask.numel() for mask in context) == 774_144
    assert sum(mask.numel() for mask in others) == 2_981_888
    assert sum(int(mask.sum()) for mask in others) == 413_618
    assert masks.info["whole"] == [n.removesuffix(".weight") for n in masks if ".context." in n]


def test_the_others_pay_by_their_own_scores(retinaface: torch.nn.Module) -> None:
    """The best 413,618 of the other layers, as if these alone were the scope."""
    modified = snip(retinaface, keep=1_187_762, whole=CONTEXT)
    alone = snip(retinaface, keep=413_618, exclude=CONTEXT)
    assert all(torch.equal(modified[name], mask) for name, mask in alone.items())


@given(st.sampled_from(sorted(SCORERS)), st.sampled_from(["layer", "global"]), st.floats(0.1, 0.7))
def test_any_method_and_scope_meet_the_budget(method: str, scope: str, sparsity: float) -> None:
    model = small_net()
    total = sum(weight.tensor.numel() for weight in prunable_weights(model).values())
    masks = find_masks(
        model,
        method,
        sparsity,
        scope=scope,
        whole=["8", "3"],
        rounds=2,
        batches=[batch()],
        loss=F.cross_entropy,
    )
    assert masks.nnz == total - round(sparsity * total)
    assert masks["8.weight"].all()
    assert masks["3.weight"].all()
    assert list(masks) == list(prunable_weights(model))


def test_structured_budgets_count_whole_layers_in_weights() -> None:
    model = small_net()
    masks = find_masks(model, sparsity=0.4, structured="output", whole=["0"], scope="global")
    total = sum(weight.tensor.numel() for weight in prunable_weights(model).values())
    assert masks["0.weight"].all()
    assert 0.5 * total < masks.nnz <= total - round(0.4 * total)


def test_within_still_binds_whole_layers() -> None:
    outer = find_masks(small_net(), "random", 0.25)
    masks = find_masks(small_net(), sparsity=0.5, whole=["8"], within=outer)
    assert torch.equal(masks["8.weight"], outer["8.weight"])
    assert masks.nnz == 384


def test_impossible_wishes() -> None:
    with pytest.raises(MaskError, match="to be kept whole have 648 weights, the budget is 100 of 768"):
        find_masks(small_net(), keep=100, whole=["0", "4"])
    with pytest.raises(MaskError, match=r"whole pattern '8' matches no prunable layer; there are: 0, 3, 4$"):
        find_masks(small_net(), sparsity=0.5, exclude=["8"], whole=["8"])
    with pytest.raises(MaskError, match="all chosen layers are to be kept whole"):
        find_masks(small_net(), sparsity=0.5, include=["0", "3"], whole=["0", "3"])
    with pytest.raises(MaskError, match="whole pattern 'nowhere' matches no prunable layer"):
        find_masks(small_net(), sparsity=0.5, whole=["nowhere"])
