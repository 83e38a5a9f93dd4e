"""A handful of separable images: one bright quadrant per class."""

from __future__ import annotations

import torch

from training.data.images import LabeledImages


def tiny_images(count: int = 24, size: int = 32, seed: int = 0) -> LabeledImages:
    """``count`` noisy images of four classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 80, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 4
    half = size // 2
    for image, label in zip(images, labels.tolist(), strict=True):
        y, x = divmod(label, 2)
        image[:, y * half : (y + 1) * half, x * half : (x + 1) * half] += 120
    files = tuple(f"tiny-{i}" for i in range(count))
    return LabeledImages(images, labels, ("a", "b", "c", "d"), files, 0)
