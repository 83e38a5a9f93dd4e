"""Ops that multiply matrices: linear layers, whose weight is a constant, and products of what is computed."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph.node import Partial
from sparsenet.graph.ops import parts
from sparsenet.graph.ops.parts import Operand
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import Attrs, Shapes, broadcast, present
from sparsenet.graph.ops.windows import check_bias
from sparsenet.graph.types import Shape


def _linear(shapes: Shapes, _attrs: Attrs) -> Shape:
    """Shape rule: weight (F_out, F_in) and bias (F_out,) over (N, F_in)."""
    x, weight = shapes[0], shapes[1]
    if x is None or len(x) != 2 or weight is None or len(weight) != 2 or x[1] != weight[1]:
        raise ValueError(f"expected x (N, F_in) and weight (F_out, F_in), got {x} and {weight}")
    check_bias(shapes[2], int(weight[0] or 0))
    return (x[0], weight[0])


def _matmul(shapes: Shapes, _attrs: Attrs) -> Shape:
    """Shape rule: (…, M, K) times (…, K, P), leading dimensions broadcast."""
    a, b = present(shapes[0]), present(shapes[1])
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError(f"cannot multiply matrices of shapes {a} and {b}")
    front = broadcast([a[:-2], b[:-2]], {})
    if len(front) < 1:
        raise ValueError(f"a product of {a} and {b} has no batch")
    return (*front, a[-2], b[-1])


def _part_of_product(operands: Sequence[Operand], attrs: Attrs, out: Shape) -> Partial | None:
    a, b = operands
    if a.from_end == -1 or b.from_end == -2:
        raise ValueError("it cannot sum along that axis")
    if a.from_end == -2 or b.from_end == -1:
        if a.axis is not None and b.axis is not None:
            raise ValueError("different axes of its inputs are partial")
        return parts.along(operands, len(out) + (-2 if b.axis is None else -1))
    return parts.broadcast(operands, attrs, out)


OPS: dict[str, OpSchema] = {
    "linear": OpSchema(
        ("x", "weight", "bias?"),
        _linear,
        constants=("weight", "bias"),
        epilogue=True,
        integer="product",
        weighted=True,
    ),
    # Of the last two axes; either side may be a constant.
    "matmul": OpSchema(("a", "b"), _matmul, partial=_part_of_product),
}
