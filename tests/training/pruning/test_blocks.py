"""Blocks of input channels, against an oracle that walks over them one by one."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from sparsenet.errors import MaskError
from tests.training.pruning.networks import batch, small_net
from training.pruning import SCORERS, Masks, find_masks, shuffle

QUADS = (1, 4)


def blocks_of(shape: tuple[int, ...]) -> list[tuple]:
    """What to index a weight with for each block: by output, first input channel and tap."""
    taps = list(product(*map(range, shape[2:])))
    starts = range(0, shape[1], 4)
    return [(o, slice(i, i + 4), *tap) for o in range(shape[0]) for i in starts for tap in taps]


def oracle(weights: list[np.ndarray], sparsity: float, scope: str) -> list[np.ndarray]:
    """Blocks by falling mean magnitude, over all layers or in each, for as long as they fit in what may stay."""
    masks = [np.zeros(w.shape, bool) for w in weights]
    groups = [list(range(len(weights)))] if scope == "global" else [[layer] for layer in range(len(weights))]
    left = 0
    for group in groups:
        size = sum(weights[layer].size for layer in group)
        left += size - round(sparsity * size)
        blocks = [(layer, block) for layer in group for block in blocks_of(weights[layer].shape)]
        blocks.sort(key=lambda at: -np.abs(weights[at[0]][at[1]].astype(float)).mean())
        for layer, block in blocks:
            if left < weights[layer][block].size:
                break
            masks[layer][block] = True
            left -= weights[layer][block].size
    return masks


def whole_blocks(masks: Masks) -> bool:
    return all(
        len(np.unique(mask.numpy()[block])) == 1
        for mask in masks.values()
        for block in blocks_of(tuple(mask.shape))
    )


convolutions = st.builds(
    lambda groups, c_in, c_out, k: nn.Conv2d(groups * c_in, groups * c_out, k, groups=groups),
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 3), st.sampled_from([1, (1, 3)]),
)  # fmt: skip
layers = convolutions | st.builds(nn.Linear, st.integers(1, 13), st.integers(1, 4))


@pytest.mark.filterwarnings("ignore:nothing is left")
@given(
    st.lists(layers, min_size=1, max_size=4),
    st.floats(0, 1),
    st.sampled_from(["global", "layer"]),
    st.integers(0, 9),
)
def test_masks_are_those_of_the_oracle(
    chosen: list[nn.Module], sparsity: float, scope: str, seed: int
) -> None:
    model, numbers = nn.Sequential(*chosen), np.random.default_rng(seed)
    for layer in chosen:
        layer.weight.data = torch.tensor(numbers.normal(size=layer.weight.shape).astype(np.float32))
    expected = oracle([layer.weight.detach().numpy() for layer in chosen], sparsity, scope)
    if all(layer.weight.shape[1] == 1 for layer in chosen):  # as without blocks
        expected = list(find_masks(model, sparsity=sparsity, scope=scope, on_empty="allow").values())
    masks = find_masks(model, sparsity=sparsity, scope=scope, block=QUADS, on_empty="allow")
    for mask, of_oracle in zip(masks.values(), expected, strict=True):
        np.testing.assert_array_equal(mask, of_oracle)


@settings(max_examples=15)
@given(st.integers(60, 756), st.sampled_from(["global", "layer"]), st.floats(0, 0.1))
def test_a_number_to_keep_is_met_to_less_than_a_block_and_no_layer_runs_empty(
    keep: int, scope: str, min_density: float
) -> None:
    masks = find_masks(small_net(), keep=keep, scope=scope, block=QUADS, min_density=min_density)
    assert whole_blocks(masks)
    assert keep - 4 < masks.nnz <= max(keep, 80)
    assert all(share >= max(min_density, 1e-9) for share in masks.density_per_layer().values())


@pytest.mark.parametrize("method", sorted(SCORERS))
def test_every_method_prunes_whole_blocks(method: str) -> None:
    model = small_net()
    x, y = batch()
    masks = find_masks(
        model, method, 0.7, block=QUADS, batches=[(x, y)], loss=cross_entropy, rounds=min(SCORERS[method].rounds, 3)
    )  # fmt: skip
    assert whole_blocks(masks)
    parts = [masks.total] if SCORERS[method].scope == "global" else [mask.numel() for mask in masks.values()]
    assert -4 < masks.nnz - sum(part - round(part * 0.7) for part in parts) <= 0
    assert masks.info["block"] == [1, 4]


def test_later_masks_keep_whole_blocks_of_the_earlier_ones() -> None:
    first = find_masks(small_net(), sparsity=0.5, block=QUADS)
    second = find_masks(small_net(1), sparsity=0.8, block=QUADS, within=first)
    assert whole_blocks(second)
    assert second.nnz == (second & first).nnz


@pytest.mark.parametrize("where", ["found", "afterwards"])
def test_shuffling_moves_whole_blocks(where: str) -> None:
    model = nn.Sequential(nn.Conv2d(6, 5, 3), nn.Linear(13, 8))
    found = find_masks(model, sparsity=0.6, block=QUADS)
    moved = (
        find_masks(model, sparsity=0.6, block=QUADS, shuffle=True) if where == "found" else shuffle(found, 3)
    )
    assert moved != found
    assert whole_blocks(moved)
    assert moved.density_per_layer() == found.density_per_layer()


def test_blocks_and_channels_contradict_each_other() -> None:
    with pytest.raises(
        MaskError, match="structured='output' prunes whole channels and block=1x4 blocks: give one"
    ):
        find_masks(small_net(), sparsity=0.5, block=QUADS, structured="output")


@pytest.mark.parametrize("block", [(4, 1), (1, 0), (1, 2.5), (1,), 4, "1x4"])
def test_impossible_blocks(block: object) -> None:
    with pytest.raises(MaskError, match="block"):
        find_masks(small_net(), sparsity=0.5, block=block)  # type: ignore[arg-type]


def test_the_mask_file_tells_the_block(tmp_path: Path) -> None:
    find_masks(small_net(), sparsity=0.5, block=QUADS).save(tmp_path / "m.safetensors")
    loaded = Masks.load(tmp_path / "m.safetensors")
    assert loaded.info["block"] == [1, 4]
    assert whole_blocks(shuffle(loaded))
