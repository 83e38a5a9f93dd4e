"""Rounding to the grid of a byte, against its definition; and gradients that pass as if there were none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from training.models.layers import Conv2dSame
from training.quantization.fake_quantize import FakeQuantize, round_weights


def numbers(seed: int = 0, *shape: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def watching(*batches: torch.Tensor) -> FakeQuantize:
    rounding = FakeQuantize()
    for batch in batches:
        rounding(batch)
    return rounding.eval()


@pytest.mark.parametrize("shift", [-5.0, -0.7, 0.0, 3.0])
def test_activations_lie_on_256_steps_with_zero_among_them(shift: float) -> None:
    x = numbers(1, 500) + shift
    rounding = watching(x)
    low, high = min(float(x.min()), 0), max(float(x.max()), 0)
    assert rounding.scale == pytest.approx((high - low) / 255, rel=1e-6)
    assert rounding.zero_point == round(-low / rounding.scale)
    y = rounding(torch.cat([x, torch.tensor([-99.0, 0.0, 99.0])])).double().numpy()
    steps = y / rounding.scale + rounding.zero_point
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert (steps.round().min(), steps.round().max(), y[-2]) == (0, 255, 0)
    # A zero point is rounded, so that an end of the range may lie half a step beyond the last integer.
    assert np.abs(y[:-3] - x.double().numpy()).max() <= rounding.scale * 1.0001


def test_the_range_is_a_moving_average_and_stands_still_in_evaluation_mode() -> None:
    rounding = watching(torch.tensor([-1.0, 2.0]), torch.tensor([-3.0, 1.0]))
    assert float(rounding.low) == pytest.approx(-1 - 0.01 * 2)
    assert float(rounding.high) == pytest.approx(2 - 0.01)
    rounding(torch.tensor([-50.0, 50.0]))
    assert float(rounding.high) == pytest.approx(1.99)


def test_a_tensor_of_zeros_has_a_grid_too() -> None:
    rounding = watching(torch.zeros(4))
    assert (rounding.scale, rounding.zero_point) == (1.0, 0)
    assert not rounding(torch.zeros(4)).any()


def test_gradients_pass_within_the_range_and_stop_outside() -> None:
    rounding = watching(torch.tensor([-1.0, 1.0]))
    x = torch.tensor([-2.0, -0.3, 0.0, 0.7, 2.0], requires_grad=True)
    rounding(x).backward(torch.arange(1.0, 6.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 2, 3, 4, 0]


@pytest.mark.parametrize(
    "make", [lambda: nn.Conv2d(3, 4, 3), lambda: Conv2dSame(3, 4, 3), lambda: nn.Linear(9, 4)]
)
def test_weights_are_rounded_by_output_channel_and_zeros_stay(make) -> None:
    layer = make()
    layer.weight.data = numbers(2, *layer.weight.shape) * torch.tensor([1.0, 1e-3, 50.0, 0.0]).reshape(
        -1, *[1] * (layer.weight.dim() - 1)
    )
    layer.weight.data.flatten()[::3] = 0
    x = numbers(3, 2, 9) if isinstance(layer, nn.Linear) else numbers(3, 2, 3, 8, 8)
    weight = layer.weight.detach().double().flatten(1)
    scale = (weight.abs().amax(1, keepdim=True) / 127).where(weight.any(1, keepdim=True), 1.0)
    plain = make()
    plain.load_state_dict(layer.state_dict())
    plain.weight.data = ((weight / scale).round() * scale).float().reshape(layer.weight.shape)
    names = list(layer.state_dict())
    round_weights(layer)
    for training in (True, False):
        torch.testing.assert_close(layer.train(training)(x), plain(x), rtol=1e-5, atol=1e-4)
    assert list(layer.state_dict()) == names
    assert torch.equal(layer.rounded(layer.weight) == 0, plain.weight == 0)
    torch.testing.assert_close(layer.weight_scale, scale.float().flatten())


def test_scales_follow_the_weights_until_evaluation() -> None:
    layer = nn.Linear(4, 2)
    round_weights(layer)
    layer.train()
    layer.weight.data *= 10
    layer(torch.ones(1, 4)).sum().backward()
    assert (layer.weight.grad == 1).all()
    before = layer.eval().weight_scale
    torch.testing.assert_close(before, layer.weight.detach().abs().amax(1) / 127)
