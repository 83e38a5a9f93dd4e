"""Dynamic sparse training: what an update drops and grows, by plain NumPy; what it never changes."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch import nn

from sparsenet.errors import CheckpointError, MaskError
from tests.training.pruning.networks import small_net, take_steps
from training.pruning import DropSchedule, DynamicSparsity, Masks, find_masks

SCHEDULE = DropSchedule(end_step=10, every=3, fraction=0.6)


def make(method: str = "rigl", block: tuple[int, int] | None = None, seed: int = 0):
    model = small_net()
    masks = find_masks(model, "random", 0.6, scope="layer", block=block)
    masks.apply(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.05)
    return model, optimizer, DynamicSparsity(masks, SCHEDULE, method, seed)


def moved_by_hand(
    mask: np.ndarray, weight: np.ndarray, gradient: np.ndarray, share: float, length: int
) -> np.ndarray:
    """Block after block: the smallest of each size fall, the steepest of those without a weight rise."""
    c_out, c_in, *kernel = mask.shape
    blocks: dict[int, list[tuple[slice | int, ...]]] = {}
    for o in range(c_out):
        for first in range(0, c_in, length):
            channels = slice(first, min(first + length, c_in))
            for tap in np.ndindex(*kernel):
                blocks.setdefault(channels.stop - first, []).append((o, channels, *tap))
    result = mask.copy()
    for alike in blocks.values():
        held = [place for place in alike if mask[place].all()]
        by_magnitude = sorted(held, key=lambda place: float(np.abs(weight[place]).mean()))
        count = round(share * len(held))
        for place in by_magnitude[:count]:
            result[place] = False
        empty = [place for place in alike if not result[place].any()]
        empty.sort(key=lambda place: -float(np.abs(gradient[place]).mean()))
        for place in empty[:count]:
            result[place] = True
    return result


@pytest.mark.parametrize("block", [None, (1, 4)], ids=str)
def test_an_update_drops_the_smallest_and_grows_where_the_gradient_is_largest(block) -> None:
    model, optimizer, hook = make(block=block)
    take_steps(model, optimizer, 1, 2, hook.after_step)
    before, expected = hook.masks, {}

    def after_step(step: int, model: nn.Module) -> None:
        share = 0.3 * (1 + math.cos(math.pi * 3 / 10))
        for name, mask in before.items():
            weight, length = model.get_parameter(name), 4 if block else 1
            arrays = (mask.numpy(), weight.detach().numpy(), weight.grad.numpy())
            expected[name] = moved_by_hand(
                *(a.astype(np.float64) if a.dtype != bool else a for a in arrays), share, length
            )
        values = {name: model.get_parameter(name).detach().clone() for name in before}
        hook.after_step(step, model)
        for name, mask in hook.masks.items():
            weight = model.get_parameter(name)
            stayed = mask & before[name]
            assert torch.equal(weight[stayed], values[name][stayed])
            assert not weight[~stayed].any()  # what has grown starts at zero

    take_steps(model, optimizer, 3, 3, after_step)
    assert hook.masks != before
    for name, mask in expected.items():
        assert np.array_equal(hook.masks[name], mask), name


@pytest.mark.parametrize("method", ["rigl", "set"])
@pytest.mark.parametrize("block", [None, (1, 4)], ids=str)
def test_masks_move_until_the_end_and_keep_their_density(method: str, block) -> None:
    model, optimizer, hook = make(method, block)
    density, seen = hook.masks.density_per_layer(), [hook.masks]

    def after_step(step: int, model: nn.Module) -> None:
        hook.after_step(step, model)
        hook.masks.check(model)
        assert hook.masks.density_per_layer() == density
        if hook.masks is not seen[-1]:
            seen.append(hook.masks)

    take_steps(model, optimizer, 1, 15, after_step)
    assert len(seen) == 4  # after steps 3, 6 and 9
    assert seen[0] != seen[1] != seen[2]
    assert hook.masks.info["method"] == method
    if block:  # 8 input channels by 2 groups: whole blocks of four
        blocks = hook.masks["4.weight"].sum(dim=1)
        assert set(blocks.flatten().tolist()) == {0, 4}


def test_set_grows_by_its_seed_and_rigl_does_not() -> None:
    def after(method: str, seed: int) -> Masks:
        model, optimizer, hook = make(method, seed=seed)
        take_steps(model, optimizer, 1, 3, hook.after_step)
        return hook.masks

    assert after("set", 1) == after("set", 1) != after("set", 2)
    assert after("rigl", 1) == after("rigl", 2)


@pytest.mark.parametrize("method", ["rigl", "set"])
def test_resumed_run_gives_the_same_result(method: str) -> None:
    model, optimizer, hook = make(method)
    take_steps(model, optimizer, 1, 4, hook.after_step)
    saved = io.BytesIO()
    torch.save(hook.state_dict(), saved)
    weights, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    take_steps(model, optimizer, 5, 11, hook.after_step)

    resumed, resumed_optimizer, resumed_hook = make(method)
    resumed.load_state_dict(weights)
    resumed_optimizer.load_state_dict(moments)
    saved.seek(0)
    resumed_hook.load_state_dict(torch.load(saved, weights_only=True))
    take_steps(resumed, resumed_optimizer, 5, 11, resumed_hook.after_step)
    assert resumed_hook.masks == hook.masks
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, resumed.get_parameter(name))


def test_a_frozen_layer_keeps_its_mask_and_its_weights() -> None:
    model, optimizer, hook = make("set")
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    take_steps(model, optimizer, 1, 3, hook.after_step)
    assert torch.equal(model[0].weight, before)


def test_what_cannot_be_is_said_so() -> None:
    model, _, hook = make()
    with pytest.raises(CheckpointError, match="another way"):
        make(seed=1)[2].load_state_dict(hook.state_dict())
    with pytest.raises(CheckpointError, match="densities"):
        DynamicSparsity(find_masks(model, "random", 0.5), SCHEDULE).load_state_dict(hook.state_dict())
    with pytest.raises(MaskError, match="whole channels"):
        DynamicSparsity(find_masks(model, structured="output", sparsity=0.5), SCHEDULE)
    with pytest.raises(MaskError, match="'rigged'"):
        DynamicSparsity(hook.masks, SCHEDULE, "rigged")
    with pytest.raises(MaskError, match="fraction"):
        DropSchedule(10, fraction=1.5)
    model[0].weight.grad = torch.full_like(model[0].weight, math.nan)
    with pytest.raises(MaskError, match=r"gradient of '0.weight' is not finite at step 3"):
        hook.after_step(3, model)
