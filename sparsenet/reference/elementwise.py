"""Arithmetic and comparison of tensors, with NumPy broadcasting."""

from __future__ import annotations

import numpy as np

from sparsenet.reference.operation import Array, Attrs, Operation


def add(inputs: list[Array], _attrs: Attrs) -> Array:
    """Sum a + b."""
    return inputs[0] + inputs[1]


def sub(inputs: list[Array], _attrs: Attrs) -> Array:
    """Difference a - b."""
    return inputs[0] - inputs[1]


def mul(inputs: list[Array], _attrs: Attrs) -> Array:
    """Product a · b."""
    return inputs[0] * inputs[1]


def div(inputs: list[Array], _attrs: Attrs) -> Array:
    """Quotient a / b."""
    return inputs[0] / inputs[1]


def power(inputs: list[Array], _attrs: Attrs) -> Array:
    """Power a^b; NaN for a negative a unless b is whole."""
    return np.asarray(np.power(inputs[0], inputs[1]))


def maximum(inputs: list[Array], _attrs: Attrs) -> Array:
    """The larger of a and b; NaN if either is."""
    return np.maximum(inputs[0], inputs[1])


def minimum(inputs: list[Array], _attrs: Attrs) -> Array:
    """The smaller of a and b; NaN if either is."""
    return np.minimum(inputs[0], inputs[1])


def greater(inputs: list[Array], _attrs: Attrs) -> Array:
    """1 where a > b, else 0."""
    return np.asarray(inputs[0] > inputs[1], np.float64)


def less(inputs: list[Array], _attrs: Attrs) -> Array:
    """1 where a < b, else 0."""
    return np.asarray(inputs[0] < inputs[1], np.float64)


def equal(inputs: list[Array], _attrs: Attrs) -> Array:
    """1 where a == b, else 0."""
    return np.asarray(inputs[0] == inputs[1], np.float64)


def where(inputs: list[Array], _attrs: Attrs) -> Array:
    """Take a where the condition is not 0, else b."""
    return np.where(inputs[0] != 0, inputs[1], inputs[2])


OPERATIONS: dict[str, Operation] = {
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "pow": power,
    "maximum": maximum,
    "minimum": minimum,
    "greater": greater,
    "less": less,
    "equal": equal,
    "where": where,
}
