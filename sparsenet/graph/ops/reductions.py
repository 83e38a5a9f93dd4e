"""Ops that combine numbers along whole axes: reductions, normalizations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparsenet.graph.node import Partial
from sparsenet.graph.ops import parts
from sparsenet.graph.ops.attribute import flag, integer, integers, number, word
from sparsenet.graph.ops.parts import Operand
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import Attrs, Shapes, axis_in, present
from sparsenet.graph.types import Shape

REDUCTIONS = ("sum", "mean", "max", "min", "prod")


def _softmax(shapes: Shapes, attrs: Attrs) -> Shape:
    x = shapes[0]
    assert x is not None
    axis_in(attrs["axis"], x)
    return x


def _reduce(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: the reduced axes become 1, or go."""
    x, axes = present(shapes[0]), attrs["axes"]
    if attrs["kind"] not in REDUCTIONS:
        raise ValueError(f"kind must be one of {', '.join(REDUCTIONS)}, got {attrs['kind']!r}")
    if not isinstance(axes, Sequence) or not axes or len({axis_in(a, x) for a in axes}) != len(axes):
        raise ValueError(f"axes must be different axes of {x}, got {axes!r}")
    if attrs["keepdims"]:
        return tuple(1 if i in axes else d for i, d in enumerate(x))
    return tuple(d for i, d in enumerate(x) if i not in axes)


def _reduced_part(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    axis = operands[0].axis
    assert axis is not None
    if axis in attrs["axes"]:
        raise ValueError(f"it cannot work along that axis ({axis})")
    gone = 0 if attrs["keepdims"] else sum(reduced < axis for reduced in attrs["axes"])
    return parts.along(operands, axis - gone)


def _argmax(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: the axis becomes 1."""
    x = present(shapes[0])
    axis = axis_in(attrs["axis"], x)
    return (*x[:axis], 1, *x[axis + 1 :])


def _normalize(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: the shape of x."""
    x = present(shapes[0])
    axis_in(attrs["axis"], x)
    if not isinstance(attrs["eps"], int | float) or not 0 <= attrs["eps"] < math.inf:
        raise ValueError(f"eps must be a number of at least 0, got {attrs['eps']!r}")
    return x


def _normalized_part(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    axis = operands[0].axis
    if axis is not None and axis >= attrs["axis"]:
        raise ValueError(f"it cannot work along that axis ({axis})")
    return operands[0].part


OPS: dict[str, OpSchema] = {
    "softmax": OpSchema(("x",), _softmax, {"axis": integer(1)}, parts.beside),
    "reduce": OpSchema(
        ("x",),
        _reduce,
        {"kind": word(*REDUCTIONS), "axes": integers(), "keepdims": flag(True)},
        _reduced_part,
    ),
    # The index of the largest number, the first or last of equal ones.
    "argmax": OpSchema(("x",), _argmax, {"axis": integer(), "last": flag(False)}, parts.beside, places=True),
    # y = (x - mean) / sqrt(var + eps), both over all elements from `axis` on.
    "normalize": OpSchema(("x",), _normalize, {"axis": integer(), "eps": number(1e-5)}, _normalized_part),
}
