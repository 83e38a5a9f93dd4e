from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sparsenet.errors import DataError
from training.data import Augment, balanced_weights, to_float

STILL = {
    "degrees": 0.0,
    "scale": (1.0, 1.0),
    "aspect": 0.0,
    "translate": 0.0,
    "flip": False,
    "brightness": 0.0,
    "contrast": (1.0, 1.0),
    "saturation": (1.0, 1.0),
    "colour_shift": 0.0,
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch() -> torch.Tensor:
    """Smooth pictures of 40² pixels: interpolation changes them little."""
    coarse = torch.rand(6, 3, 5, 5, generator=seeded(7)) * 255
    return F.interpolate(coarse, size=(40, 40), mode="bilinear", align_corners=False).round().to(torch.uint8)


def one(batch, **settings) -> torch.Tensor:
    return Augment(batch.shape[-1], **{**STILL, **settings})(batch, seeded())


@pytest.mark.parametrize("size", [16, 40, 48])
def test_output_is_float_of_the_size_in_range(batch, size):
    result = Augment(size)(batch, seeded())
    assert result.shape == (6, 3, size, size)
    assert result.dtype == torch.float32
    assert result.min() >= -1
    assert result.max() <= 1


def test_equal_generators_give_equal_batches_and_the_input_is_untouched(batch):
    before = batch.clone()
    augment, generator = Augment(32), seeded(1)
    first = augment(batch, generator)
    assert torch.equal(first, augment(batch, seeded(1)))
    assert not torch.equal(first, augment(batch, seeded(2)))
    assert not torch.equal(first, augment(batch, generator))  # the generator has moved on
    assert torch.equal(batch, before)


def test_the_global_generator_is_not_used(batch):
    state = torch.get_rng_state()
    Augment(32)(batch, seeded())
    assert torch.equal(torch.get_rng_state(), state)


def test_images_of_a_batch_are_changed_independently(batch):
    same = batch[:1].expand(6, -1, -1, -1)
    result = Augment(40)(same, seeded())
    assert all(not torch.allclose(result[0], result[i], atol=0.01) for i in range(1, 6))


def test_without_any_range_the_image_stays(batch):
    torch.testing.assert_close(one(batch), to_float(batch), rtol=0, atol=1e-4)


def test_flip_mirrors_about_half_of_the_images():
    ramp = torch.arange(0, 200, 5, dtype=torch.uint8).expand(400, 3, 40, 40).contiguous()
    result = one(ramp, flip=True)
    mirrored = result[:, 0, 0, 0] > result[:, 0, 0, -1]
    assert 150 < int(mirrored.sum()) < 250
    torch.testing.assert_close(result[mirrored], to_float(ramp).flip(3)[mirrored], rtol=0, atol=1e-4)
    torch.testing.assert_close(result[~mirrored], to_float(ramp)[~mirrored], rtol=0, atol=1e-4)


def test_scale_above_one_shows_the_face_smaller_and_shift_moves_it():
    dot = torch.zeros(1, 3, 81, 81, dtype=torch.uint8)
    dot[:, :, 20:61, 20:61] = 255
    bright = (to_float(dot) > 0).sum().item()
    assert (one(dot, scale=(1.5, 1.5)) > 0).sum().item() == pytest.approx(bright / 1.5**2, rel=0.1)
    moved = one(dot, translate=0.4)
    assert (moved > 0).sum().item() == pytest.approx(bright, rel=0.1)
    assert not torch.equal(moved > 0, to_float(dot) > 0)


def test_rotation_keeps_the_shape_of_things_also_when_mirrored():
    disc = ((torch.arange(41) - 20) ** 2)[:, None] + ((torch.arange(41) - 20) ** 2) < 150
    pictures = (disc * 255).to(torch.uint8).expand(8, 3, 41, 41).contiguous()
    result = one(pictures, degrees=180.0, flip=True)
    assert ((result > 0) == (pictures > 127)).float().mean() > 0.98


def test_borders_mirror_the_image_instead_of_black(batch):
    light = torch.full((4, 3, 20, 20), 255, dtype=torch.uint8)
    result = one(light, degrees=45.0, scale=(1.4, 1.4), translate=0.3)
    torch.testing.assert_close(result, torch.ones_like(result), rtol=0, atol=1e-5)


def test_brightness_contrast_saturation_and_shift_act_on_their_own_quantity(batch):
    plain = to_float(batch) * 0.4
    dim = ((plain + 1) * 127.5).round().to(torch.uint8)  # away from the ends, so nothing is clamped
    plain = to_float(dim)
    difference = one(dim, brightness=0.3) - plain
    per_image = difference.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(difference, per_image.expand_as(difference), rtol=0, atol=1e-4)
    assert per_image.abs().max() <= 0.3
    assert per_image.std() > 0.02

    contrast = one(dim, contrast=(0.5, 0.5))
    mean = plain.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(contrast, mean + (plain - mean) / 2, rtol=0, atol=1e-4)

    gray = one(dim, saturation=(0.0, 0.0))
    torch.testing.assert_close(gray, plain.mean(1, keepdim=True).expand_as(gray), rtol=0, atol=1e-4)

    shift = one(dim, colour_shift=0.05) - plain
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift), rtol=0, atol=1e-4)
    assert shift[:, :, 0, 0].std() == pytest.approx(0.05, rel=0.5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"size": 0}, "size must be at least 1 pixel"),
        ({"degrees": -1.0}, "degrees must not be negative"),
        ({"contrast": (1.2, 0.8)}, r"contrast must be \(lowest, highest\)"),
        ({"scale": (0.0, 1.0)}, "scale must be above 0"),
        ({"aspect": 1.0}, "aspect must be below 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(DataError, match=message):
        Augment(**{"size": 8, **settings})


def test_balanced_weights():
    labels = torch.tensor([0, 0, 0, 0, 2])
    torch.testing.assert_close(balanced_weights(labels, 0.0), torch.full((5,), 0.2, dtype=torch.float64))
    equal = balanced_weights(labels, 1.0)
    assert equal[:4].sum().item() == pytest.approx(0.5)
    weights = balanced_weights(labels)
    assert weights.sum().item() == pytest.approx(1)
    assert (weights[4] / weights[0]).item() == pytest.approx(4**0.75)
    with pytest.raises(DataError, match="at least one label"):
        balanced_weights(torch.tensor([], dtype=torch.int64))
