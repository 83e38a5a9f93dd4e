"""Arithmetic between two tensors, with NumPy broadcasting."""

from __future__ import annotations

from sparsenet.reference.operation import Array, Attrs


def add(inputs: list[Array], _attrs: Attrs) -> Array:
    """Sum a + b."""
    return inputs[0] + inputs[1]


def sub(inputs: list[Array], _attrs: Attrs) -> Array:
    """Difference a - b."""
    return inputs[0] - inputs[1]


def mul(inputs: list[Array], _attrs: Attrs) -> Array:
    """Product a · b."""
    return inputs[0] * inputs[1]
