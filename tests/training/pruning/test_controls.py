"""Shuffled masks: as many weights in every layer, anywhere."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net
from training.pruning import Masks, find_masks, shuffle


def counts(masks: Masks) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


@given(st.floats(0.05, 0.95), st.sampled_from(["l1", "snip", "synflow"]), st.integers(0, 3))
def test_counts_per_layer_stay(sparsity: float, method: str, seed: int) -> None:
    flags = {"batches": [batch()], "loss": F.cross_entropy, "scope": "global", "rounds": 2}
    masks = find_masks(small_net(), method, sparsity, **flags)
    for shuffled in (
        shuffle(masks, seed),
        find_masks(small_net(), method, sparsity, **flags, shuffle=True, seed=seed),
    ):
        assert counts(shuffled) == counts(masks)
        assert shuffled.info["shuffled"]
    assert not masks.info["shuffled"]


def test_positions_are_seeded_and_independent_of_the_old_ones() -> None:
    masks = Masks({"a.weight": torch.arange(10_000).reshape(100, 100) < 5000})
    shuffled = shuffle(masks, 1)
    assert shuffled == shuffle(masks, 1)
    assert shuffled != shuffle(masks, 2)
    assert int((shuffled["a.weight"] & masks["a.weight"]).sum()) == pytest.approx(2500, abs=150)


def test_layers_of_one_size_are_shuffled_apart() -> None:
    flags = torch.arange(400) < 200
    shuffled = shuffle(Masks({"a.weight": flags, "b.weight": flags}))
    assert not torch.equal(shuffled["a.weight"], shuffled["b.weight"])


def test_within_stays_within() -> None:
    outer = find_masks(small_net(), "random", 0.5)
    inner = find_masks(small_net(), "l1", 0.75, within=outer, shuffle=True)
    assert (inner & outer) == inner
    assert counts(inner) == counts(find_masks(small_net(), "l1", 0.75, within=outer))


@pytest.mark.parametrize("structured", ["output", "input"])
def test_channels_are_shuffled_as_channels(structured: str) -> None:
    plain = find_masks(small_net(), "l1", 0.5, structured=structured, prune_affine=False)
    shuffled = find_masks(small_net(), "l1", 0.5, structured=structured, prune_affine=False, shuffle=True)
    assert shuffled != plain
    assert counts(shuffled) == counts(plain)
    if structured == "output":
        rows = shuffled["0.weight"].flatten(1)
        assert torch.equal(rows.all(1), rows.any(1))
    with pytest.raises(MaskError, match="whole channels"):
        shuffle(plain)
