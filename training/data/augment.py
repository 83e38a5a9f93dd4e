"""Random views of a batch: one affine warp and four changes of colour, all drawn from one generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparsenet.errors import DataError
from training.data.images import resize, to_float


@dataclass(frozen=True)
class Augment:
    """uint8 batch (N, 3, S, S) → float32 (N, 3, size, size) in [-1, 1], each image changed on its own.

    Resized first (antialiased), then warped at the target size. The borders mirror the image, so that no black
    corner gives the warp away. Equal generators give equal results.

    Attributes:
        size: output height and width, pixels.
        degrees: rotation drawn from ±degrees.
        scale: (lowest, highest) extent of the view; above 1 shows more than the image, so the face smaller.
        aspect: width over height drawn from 1 ± aspect.
        translate: shift drawn from ±translate on each axis, in half widths.
        flip: mirror left and right in half the images.
        brightness: added, drawn from ±brightness, on pixels in [-1, 1].
        contrast: (lowest, highest) factor on the distance from the image's mean.
        saturation: (lowest, highest) factor on the distance from the pixel's gray.
        colour_shift: standard deviation of what is added to each colour channel.
    """

    size: int
    degrees: float = 20.0
    scale: tuple[float, float] = (0.85, 1.18)
    aspect: float = 0.08
    translate: float = 0.12
    flip: bool = True
    brightness: float = 0.25
    contrast: tuple[float, float] = (0.7, 1.35)
    saturation: tuple[float, float] = (0.5, 1.5)
    colour_shift: float = 0.05

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"augmentation: size must be at least 1 pixel, got {self.size}")
        for name in ("degrees", "aspect", "translate", "brightness", "colour_shift"):
            if getattr(self, name) < 0:
                raise DataError(f"augmentation: {name} must not be negative, got {getattr(self, name)}")
        for name in ("scale", "contrast", "saturation"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise DataError(
                    f"augmentation: {name} must be (lowest, highest) from 0 up, got ({low}, {high})"
                )
        if self.scale[0] == 0:
            raise DataError("augmentation: scale must be above 0")
        if self.aspect >= 1:
            raise DataError(f"augmentation: aspect must be below 1, got {self.aspect}")

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """The augmented batch, on the batch's device; ``generator`` is advanced."""
        images = resize(to_float(batch), self.size)
        return self._recolour(self._warp(images, generator), generator).clamp_(-1.0, 1.0)

    def _warp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        n = len(images)
        angle = _uniform(n, -self.degrees, self.degrees, generator) * (math.pi / 180)
        height = _uniform(n, *self.scale, generator)
        width = height * _uniform(n, 1 - self.aspect, 1 + self.aspect, generator)
        mirrored = torch.rand(n, generator=generator, device=generator.device) < 0.5
        if self.flip:
            width = torch.where(mirrored, -width, width)
        dx = _uniform(n, -self.translate, self.translate, generator)
        dy = _uniform(n, -self.translate, self.translate, generator)
        cos, sin = torch.cos(angle), torch.sin(angle)
        # Rows of the map from output to input coordinates: rotate, after stretching by width and height.
        rows = [
            torch.stack([cos * width, -sin * height, dx], 1),
            torch.stack([sin * width, cos * height, dy], 1),
        ]
        theta = torch.stack(rows, 1).to(images.device)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def _recolour(self, images: Tensor, generator: torch.Generator) -> Tensor:
        n, device = len(images), images.device

        def per_image(low: float, high: float) -> Tensor:
            return _uniform(n, low, high, generator).to(device)[:, None, None, None]

        brightness = per_image(-self.brightness, self.brightness)
        contrast = per_image(*self.contrast)
        saturation = per_image(*self.saturation)
        shift = torch.randn(n, 3, 1, 1, generator=generator, device=generator.device).to(device)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = (images - mean) * contrast + mean + brightness
        gray = images.mean(1, keepdim=True)
        return gray + (images - gray) * saturation + shift * self.colour_shift


def balanced_weights(labels: Tensor, power: float = 0.75) -> Tensor:
    """Sampling weight of each image, float64 (N,), summing to 1: (images of its class)^-power.

    Power 0 samples the data as it is, 1 samples every class equally often; between them rare classes are
    favoured without showing their few images too often.
    """
    if labels.numel() == 0:
        raise DataError("balanced sampling needs at least one label")
    weights = torch.bincount(labels).to(torch.float64)[labels] ** -power
    return weights / weights.sum()


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low
