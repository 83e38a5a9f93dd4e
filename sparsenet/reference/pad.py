"""Padding of rows and columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation


def pad_image(x: Array, padding: Sequence[int], value: float) -> Array:
    """Surround x (N, C, H, W) with ``padding`` = [top, left, bottom, right] more rows and columns, all ``value``."""
    top, left, bottom, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def pad(inputs: list[Array], attrs: Attrs) -> Array:
    """The ``pad`` op: (N, C, H, W) → (N, C, top + H + bottom, left + W + right)."""
    if attrs["mode"] == "constant":
        return pad_image(inputs[0], attrs["padding"], attrs["value"])
    top, left, bottom, right = attrs["padding"]
    return np.pad(inputs[0], ((0, 0), (0, 0), (top, bottom), (left, right)), mode=attrs["mode"])


OPERATIONS: dict[str, Operation] = {"pad": pad}
