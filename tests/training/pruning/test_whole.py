"""Modified SNIP: layers that stay whole and still count; on the detector of the paper, weight for weight."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net
from training.detection.loss import MultitaskLoss
from training.models import build_detector
from training.pruning import SCORERS, Masks, find_masks, prunable_weights

SCOPE = ["fpn.*", "ssh.*"]
CONTEXT = ["ssh.*.context.*"]
#: Left, top, right, bottom in pixels: a face for each level of the pyramid (the last one wider than the image).
FACES = [[10.0, 20.0, 34.0, 44.0], [40.0, 10.0, 110.0, 90.0], [-40.0, -50.0, 160.0, 170.0]]


@pytest.fixture(scope="module")
def retinaface() -> torch.nn.Module:
    """As SNIP meets it: the backbone with the statistics it came with, the new layers with those of the batch."""
    model = build_detector("retinaface-resnet50", seed=1)
    model.backbone.eval()
    return model


def snip(model: torch.nn.Module, faces: list[list[float]] = FACES, **budget) -> Masks:
    """Images of 128 × 128 pixels, one for each face, seen by the detector's own loss."""
    x = torch.randn(len(faces), 3, 128, 128, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor(faces)[:, None]
    landmarks = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3, 0, 2]]
    targets = torch.cat([boxes, landmarks, torch.ones(len(faces), 1, 1)], dim=2)
    return find_masks(
        model,
        "snip",
        batches=[(x, targets)],
        loss=MultitaskLoss(128, 128),
        scope="global",
        include=SCOPE,
        mode="current",
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


def test_levels_that_no_face_reaches_are_reported(retinaface: torch.nn.Module) -> None:
    """With small faces alone the coarser levels are told to find nothing: the guard keeps some of each layer."""
    masks = snip(retinaface, faces=FACES[:1], sparsity=0.9, min_density=0.01)
    coarse = [name for name in masks if name.startswith(("ssh.1", "ssh.2"))]
    assert masks.info["rescued"] == coarse
    assert all(0.01 <= masks.density_per_layer()[name] < 0.0101 for name in coarse)
    assert masks.nnz == 3_756_032 - round(0.9 * 3_756_032)


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
