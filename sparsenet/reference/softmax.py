"""Softmax."""

from __future__ import annotations

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation


def softmax(inputs: list[Array], attrs: Attrs) -> Array:
    """exp(x) / Σ exp(x) along ``attrs["axis"]``, shifted by the maximum so that exp cannot overflow."""
    x, axis = inputs[0], attrs["axis"]
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


OPERATIONS: dict[str, Operation] = {"softmax": softmax}
