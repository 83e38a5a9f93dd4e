"""Per-channel scaling: the affine op and batch normalization at inference. Channels are dimension 1."""

from __future__ import annotations

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation


def affine(inputs: list[Array], _attrs: Attrs) -> Array:
    """Compute y = x · scale + shift with x (N, C) or (N, C, H, W), scale and shift (C,)."""
    x, scale, shift = inputs
    return x * _along_channels(scale, x) + _along_channels(shift, x)


def batch_norm(inputs: list[Array], attrs: Attrs) -> Array:
    """Compute y = (x - mean) / sqrt(var + eps) · scale + bias, all four (C,) (Ioffe & Szegedy 2015, alg. 2)."""
    x = inputs[0]
    scale, bias, mean, var = (_along_channels(vector, x) for vector in inputs[1:])
    deviation: Array = np.sqrt(var + attrs["eps"])
    return (x - mean) / deviation * scale + bias


def _along_channels(vector: Array, x: Array) -> Array:
    return vector.reshape(1, -1, *(1 for _ in x.shape[2:]))


OPERATIONS: dict[str, Operation] = {
    "batch_norm": batch_norm,
    "affine": affine,
}
