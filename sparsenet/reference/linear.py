"""The fully connected layer, and the product of two computed matrices."""

from __future__ import annotations

from sparsenet.reference.operation import Array, Attrs, Operation


def linear(inputs: list[Array | None], _attrs: Attrs) -> Array:
    """Compute y = x Wᵀ + b with x (N, F_in), weight (F_out, F_in), bias (F_out,) or None; y is (N, F_out)."""
    x, weight, bias = inputs
    assert x is not None
    assert weight is not None
    result = x @ weight.T
    return result if bias is None else result + bias


def matmul(inputs: list[Array], _attrs: Attrs) -> Array:
    """Compute a @ b over the last two axes, leading axes broadcast."""
    return inputs[0] @ inputs[1]


OPERATIONS: dict[str, Operation] = {
    "linear": linear,
    "matmul": matmul,
}
