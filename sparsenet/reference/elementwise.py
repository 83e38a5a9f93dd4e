"""Arithmetic between two tensors, with NumPy broadcasting."""

from __future__ import annotations

from sparsenet.reference.typing import Array, Attrs


def add(inputs: list[Array], attrs: Attrs) -> Array:
    """a + b."""
    return inputs[0] + inputs[1]


def sub(inputs: list[Array], attrs: Attrs) -> Array:
    """a - b."""
    return inputs[0] - inputs[1]


def mul(inputs: list[Array], attrs: Attrs) -> Array:
    """a · b."""
    return inputs[0] * inputs[1]
