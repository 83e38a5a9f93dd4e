"""Ops that move numbers and compute none: other shapes, other orders, pieces put together and cut out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparsenet.graph.node import Partial
from sparsenet.graph.ops import parts
from sparsenet.graph.ops.attribute import any_integers, integer, integers, number
from sparsenet.graph.ops.parts import Operand
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import (
    LARGEST_EXPANSION,
    MAX_RANK,
    Attrs,
    Shapes,
    axis_in,
    present,
    same,
    whole,
)
from sparsenet.graph.types import Shape


def _size(shape: Shape) -> int:
    return math.prod(int(d or 1) for d in shape[1:])


def _concat(shapes: Shapes, attrs: Attrs) -> Shape:
    first = shapes[0]
    assert first is not None
    axis = axis_in(attrs["axis"], first)
    total = 0
    for shape in shapes:
        assert shape is not None
        if len(shape) != len(first) or any(
            d != e for i, (d, e) in enumerate(zip(shape, first, strict=True)) if i != axis
        ):
            raise ValueError(f"cannot concatenate {first} and {shape} on axis {axis}")
        total += shape[axis]  # type: ignore[operator]
    return (*first[:axis], total, *first[axis + 1 :])


def _flatten(shapes: Shapes, attrs: Attrs) -> Shape:
    assert shapes[0] is not None
    return (shapes[0][0], _size(shapes[0]))


def _reshape(shapes: Shapes, attrs: Attrs) -> Shape:
    x, target = shapes[0], list(attrs["shape"])
    assert x is not None
    if len(target) > MAX_RANK:
        raise ValueError(f"shape has {len(target)} sizes, the limit is {MAX_RANK}")
    if target.count(-1) > 1 or any(not isinstance(d, int) or d < -1 or d == 0 for d in target):
        raise ValueError(
            f"shape must be positive sizes without the batch, one of them possibly -1; got {target}"
        )
    if -1 in target:
        known = -math.prod(target)
        target[target.index(-1)] = _size(x) // known
    if math.prod(target) != _size(x):
        raise ValueError(f"cannot reshape {x} to (N, {', '.join(map(str, target))})")
    return (x[0], *target)


def _reshaped_part(operands: Sequence[Operand], _attrs: Attrs, out: Shape) -> Partial | None:
    """Partial rule of a reshape: the axis must keep its size, and as many elements in front of it."""
    shape, axis = operands[0].shape, operands[0].axis
    assert axis is not None
    for place in range(1, len(out)):
        if out[place] == shape[axis] and _size(out[:place]) == _size(shape[:axis]):
            return parts.along(operands, place)
    raise ValueError(f"{shape} to {out} would mix that axis ({axis}) with others")


def _transpose(shapes: Shapes, attrs: Attrs) -> Shape:
    x, perm = shapes[0], attrs["perm"]
    assert x is not None
    if sorted(perm) != list(range(len(x))) or perm[0] != 0:
        raise ValueError(f"perm must reorder {list(range(len(x)))} and leave the batch first, got {perm}")
    return tuple(x[i] for i in perm)


def _transposed_part(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    return parts.along(operands, list(attrs["perm"]).index(operands[0].axis))


def _slice(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: ``count`` elements of one axis."""
    x = present(shapes[0])
    axis = axis_in(attrs["axis"], x)
    size = int(x[axis] or 0)
    start, count = whole(attrs["start"], "start", 0, size - 1), whole(attrs["count"], "count", 1, size)
    step = whole(attrs["step"], "step", -size, size)
    if step == 0 or not 0 <= start + (count - 1) * step < size:
        raise ValueError(f"{count} elements from {start} on in steps of {step} leave an axis of {size}")
    return (*x[:axis], count, *x[axis + 1 :])


def _sliced_part(operands: Sequence[Operand], attrs: Attrs, out: Shape) -> Partial | None:
    if operands[0].axis == attrs["axis"] and attrs["start"] == 0 and attrs["step"] == 1:
        return operands[0].part  # the first few of the first so many
    return parts.beside(operands, attrs, out)


def _gather(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: as many elements as indices."""
    x, indices = present(shapes[0]), attrs["indices"]
    axis = axis_in(attrs["axis"], x)
    if not isinstance(indices, Sequence) or not indices:
        raise ValueError("indices must be a list with at least one index")
    for index in indices:
        whole(index, "an index", 0, int(x[axis] or 0) - 1)
    return (*x[:axis], len(indices), *x[axis + 1 :])


def _expand(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: the given sizes, behind the batch."""
    x, target = present(shapes[0]), attrs["shape"]
    if not isinstance(target, Sequence) or len(target) != len(x) - 1:
        raise ValueError(f"shape must be {len(x) - 1} sizes without the batch, got {target!r}")
    for have, wanted in zip(x[1:], target, strict=True):
        if whole(wanted, "a size", 1, LARGEST_EXPANSION) != have and have != 1:
            raise ValueError(f"{x} cannot be expanded to (N, {', '.join(map(str, target))})")
    if math.prod(target) > LARGEST_EXPANSION:
        raise ValueError(f"expanding {x} to {list(target)} makes {math.prod(target)} elements")
    return (x[0], *target)


def _expanded_part(operands: Sequence[Operand], _attrs: Attrs, out: Shape) -> Partial | None:
    shape, axis = operands[0].shape, operands[0].axis
    if axis is None or out[axis] != shape[axis]:
        raise ValueError("that axis cannot be repeated")
    return operands[0].part


OPS: dict[str, OpSchema] = {
    "concat": OpSchema(
        ("x",),
        _concat,
        {"axis": integer(1)},
        parts.beside,
        variadic=True,
        along_axis=True,
        joins=True,
        integer="choice",
    ),
    # (N, ...) -> (N, F) in C order
    "flatten": OpSchema(
        ("x",), _flatten, {}, _reshaped_part, keeps_order=True, sign_keeping=True, integer="choice"
    ),
    # shape without the batch; one -1 allowed
    "reshape": OpSchema(
        ("x",),
        _reshape,
        {"shape": integers()},
        _reshaped_part,
        keeps_order=True,
        sign_keeping=True,
        integer="choice",
    ),
    "transpose": OpSchema(
        ("x",), _transpose, {"perm": integers()}, _transposed_part, sign_keeping=True, integer="choice"
    ),
    # Elements start, start + step, … of one axis; the step may be negative.
    "slice": OpSchema(
        ("x",),
        _slice,
        {"axis": integer(), "start": integer(), "count": integer(), "step": integer(1)},
        _sliced_part,
        along_axis=True,
        integer="choice",
    ),
    "gather": OpSchema(
        ("x",),
        _gather,
        {"axis": integer(), "indices": any_integers()},
        parts.beside,
        along_axis=True,
        integer="choice",
    ),
    "expand": OpSchema(("x",), _expand, {"shape": integers()}, _expanded_part),  # shape without the batch
    "identity": OpSchema(
        ("x",),
        same,
        {},
        parts.same,
        per_channel=True,
        per_pixel=True,
        returns_input=True,
        sign_keeping=True,
        integer="choice",
    ),
    # The identity at inference; removed by a pass.
    "dropout": OpSchema(
        ("x",),
        same,
        {"p": number(0.5)},
        parts.same,
        per_channel=True,
        per_pixel=True,
        returns_input=True,
        sign_keeping=True,
        integer="choice",
    ),
}
