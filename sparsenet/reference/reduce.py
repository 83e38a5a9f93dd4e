"""Reductions over axes, and normalization over all elements from one axis on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation

_KINDS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


def reduce(inputs: list[Array], attrs: Attrs) -> Array:
    """Sum, mean, maximum, minimum or product over ``attrs["axes"]``."""
    function = _KINDS[attrs["kind"]]
    return np.asarray(function(inputs[0], axis=tuple(attrs["axes"]), keepdims=attrs["keepdims"]))


def argmax(inputs: list[Array], attrs: Attrs) -> Array:
    """Index of the largest number on ``attrs["axis"]``, which stays with size 1; NaN counts as the largest."""
    x, axis = inputs[0], attrs["axis"]
    if not attrs["last"]:
        return np.asarray(np.argmax(x, axis=axis, keepdims=True), np.float64)
    from_the_end = np.argmax(np.flip(x, axis), axis=axis, keepdims=True)
    return np.asarray(x.shape[axis] - 1 - from_the_end, np.float64)


def normalize(inputs: list[Array], attrs: Attrs) -> Array:
    """Compute (x - mean) / sqrt(var + eps) over all elements from ``attrs["axis"]`` on (Ba et al. 2016, eq. 3)."""
    x = inputs[0]
    axes = tuple(range(attrs["axis"], x.ndim))
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + attrs["eps"]))


OPERATIONS: dict[str, Operation] = {
    "reduce": reduce,
    "argmax": argmax,
    "normalize": normalize,
}
