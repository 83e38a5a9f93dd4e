"""Resizing of images: nearest and bilinear."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.reference.operation import Array, Attrs, Operation


def resize(inputs: list[Array], attrs: Attrs) -> Array:
    """Resize x (N, C, H, W) → (N, C, *size), as PyTorch's ``interpolate(x, size, mode)`` without antialiasing.

    ``nearest`` takes source pixel ⌊i · H / H_out⌋, in exact integers. ``bilinear`` interpolates rows, then
    columns, with ``coordinates`` "half_pixel" (align_corners=False) or "align_corners" (True).
    """
    x, like = inputs
    size_of = [int(n * s + 1e-6) for n, s in zip(x.shape[2:], attrs["scale"], strict=False)] or attrs["size"]
    for axis, size in zip((2, 3), size_of if like is None else like.shape[2:], strict=True):
        if attrs["mode"] == "nearest":
            x = x.take(np.arange(size) * x.shape[axis] // size, axis=axis)
        else:
            low, high, fraction = _between(x.shape[axis], size, attrs["coordinates"] == "align_corners")
            fraction = fraction[:, None] if axis == 2 else fraction
            x = x.take(low, axis=axis) * (1 - fraction) + x.take(high, axis=axis) * fraction
    return x


def _between(
    source: int, target: int, align_corners: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array]:
    """For every target index: its two source neighbours and how far it is from the lower to the higher."""
    index = np.arange(target, dtype=np.float64)
    if align_corners:
        position = index * (source - 1) / (target - 1) if target > 1 else index * 0
    else:
        position = (index + 0.5) * source / target - 0.5
    position = position.clip(0, source - 1)
    low = np.floor(position).astype(np.int64)
    return low, np.minimum(low + 1, source - 1), position - low


OPERATIONS: dict[str, Operation] = {"resize": resize}
