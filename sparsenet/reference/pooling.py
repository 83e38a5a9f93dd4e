"""Pooling: every output pixel reads its window by slicing; nothing is clever here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparsenet.graph.ops.windows import conv_output_size
from sparsenet.reference.operation import Array, Attrs, Operation


def max_pool2d(inputs: list[Array], attrs: Attrs) -> Array:
    """Largest value of each window; padding counts as -inf. x (N, C, H, W) → (N, C, H_out, W_out)."""
    x = inputs[0]
    columns = list(_windows(x.shape[3], 1, attrs))
    by_row = []
    for rows in _windows(x.shape[2], 0, attrs):
        band = x[:, :, rows].max(axis=2, initial=-np.inf)
        by_row.append(np.stack([band[:, :, span].max(axis=2, initial=-np.inf) for span in columns], axis=-1))
    return np.stack(by_row, axis=2)


def avg_pool2d(inputs: list[Array], attrs: Attrs) -> Array:
    """Mean of each window, as PyTorch's ``avg_pool2d``. x (N, C, H, W) → (N, C, H_out, W_out).

    With ``count_include_pad`` the divisor counts the padding the window covers, but never what ``ceil_mode``
    lets the window reach beyond the padding; without it the divisor counts data only.
    """
    x = inputs[0]
    columns = list(zip(_windows(x.shape[3], 1, attrs), _divisors(x.shape[3], 1, attrs), strict=True))
    by_row = []
    for rows, height in zip(_windows(x.shape[2], 0, attrs), _divisors(x.shape[2], 0, attrs), strict=True):
        band = x[:, :, rows].sum(axis=2)
        by_row.append(
            np.stack([band[:, :, span].sum(axis=2) / (height * width) for span, width in columns], axis=-1)
        )
    return np.stack(by_row, axis=2)


def global_avg_pool2d(inputs: list[Array], _attrs: Attrs) -> Array:
    """Mean over all pixels: (N, C, H, W) → (N, C, 1, 1)."""
    return np.asarray(inputs[0].mean(axis=(2, 3), keepdims=True))


def window_counts(op: str, size: tuple[int, ...], attrs: Attrs) -> Array:
    """By how many pixels the mean of each window is divided: (H_out, W_out), or () over all pixels."""
    if op == "global_avg_pool2d":
        return np.asarray(float(np.prod(size)))
    rows, columns = (np.array([float(n) for n in _divisors(size[axis], axis, attrs)]) for axis in (0, 1))
    return np.outer(rows, columns)


def _starts(size: int, axis: int, attrs: Attrs) -> list[int]:
    """First index of each window on one axis (0 rows, 1 columns); negative in the padding before the data."""
    before, after = attrs["padding"][axis], attrs["padding"][axis + 2]
    kernel, stride = attrs["kernel"][axis], attrs["stride"][axis]
    dilation = attrs.get("dilation", [1, 1])[axis]
    reach = after + stride - 1 if attrs["ceil_mode"] else after
    count = conv_output_size(size, kernel, stride, before, reach, dilation)
    starts = [i * stride - before for i in range(count)]
    return [s for s in starts if s < size] if attrs["ceil_mode"] else starts


def _windows(size: int, axis: int, attrs: Attrs) -> Iterator[list[int]]:
    """The data indices each window covers; padding is left out."""
    kernel, dilation = attrs["kernel"][axis], attrs.get("dilation", [1, 1])[axis]
    for start in _starts(size, axis, attrs):
        yield [i for i in range(start, start + dilation * kernel, dilation) if 0 <= i < size]


def _divisors(size: int, axis: int, attrs: Attrs) -> Iterator[int]:
    """How many indices each averaging window counts along one axis."""
    end = size + attrs["padding"][axis + 2]
    for start in _starts(size, axis, attrs):
        covered = range(start, min(start + attrs["kernel"][axis], end))
        yield len(covered) if attrs["count_include_pad"] else sum(0 <= i < size for i in covered)


OPERATIONS: dict[str, Operation] = {
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "global_avg_pool2d": global_avg_pool2d,
}
