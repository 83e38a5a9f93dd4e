"""Ops that choose by value: the largest numbers, elements by computed index, boxes, and how many of them are valid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparsenet.graph.node import Partial
from sparsenet.graph.ops import parts
from sparsenet.graph.ops.attribute import flag, integer, number
from sparsenet.graph.ops.parts import Operand
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.graph.ops.sizes import (
    LARGEST_EXPANSION,
    LARGEST_FLOAT32,
    Attrs,
    Shapes,
    axis_in,
    batched,
    countable,
    whole,
)
from sparsenet.graph.types import Shape


def _top_k(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: as many indices on the axis as are wanted."""
    x = batched(shapes[0], "x", 2)
    axis = axis_in(attrs["axis"], x)
    size = countable(int(x[axis] or 0), "the elements of its axis")
    return (*x[:axis], whole(attrs["count"], "count", 1, size), *x[axis + 1 :])


def _gather_elements(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: one index for each element of the result; sizes differ on the axis only."""
    x, indices = batched(shapes[0], "x", 2), batched(shapes[1], "indices", 2)
    axis = axis_in(attrs["axis"], x)
    if len(indices) != len(x) or any(
        a != b for i, (a, b) in enumerate(zip(x, indices, strict=True)) if i != axis
    ):
        raise ValueError(f"indices {indices} must have the sizes of {x} but for axis {axis}")
    return indices


def _part_of_elements(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    """Where an index picks elements, the result has as many as there are indices."""
    x, indices = operands
    if x.axis not in (None, attrs["axis"], indices.axis):
        raise ValueError("its indices are not partial on the same axis")
    return indices.part


def _gather_nd(shapes: Shapes, _attrs: Attrs) -> Shape:
    """The last axis of the indices names a place on as many axes of x, from the first behind the batch on."""
    x, indices = batched(shapes[0], "x", 2), batched(shapes[1], "indices", 2)
    depth = int(indices[-1] or 0)
    if depth >= len(x):
        raise ValueError(f"indices {indices} name places on {depth} axes, x is {x}")
    out = (*indices[:-1], *x[1 + depth :])
    if math.prod(int(d or 1) for d in out) > LARGEST_EXPANSION:
        raise ValueError(f"the result {out} would have more than {LARGEST_EXPANSION} elements")
    return out


def _part_of_places(operands: Sequence[Operand], _attrs: Attrs, _out: Shape) -> Partial | None:
    x, indices = operands
    depth = int(indices.shape[-1] or 0)
    if indices.from_end == -1:
        raise ValueError("an index cannot be partial itself")
    if x.axis is None or x.axis <= depth:
        return indices.part  # what an index picks is a valid element
    if indices.axis is not None:
        raise ValueError("different axes of its inputs are partial")
    return parts.along(operands, len(indices.shape) - 2 + x.axis - depth)


def _nms(shapes: Shapes, attrs: Attrs) -> Shape:
    """Boxes (N, B, n, 4) and scores (N, B, C, n): a row of [b, class, box] for every box that may be kept."""
    boxes, scores = batched(shapes[0], "boxes", 4), batched(shapes[1], "scores", 4)
    if len(boxes) != 4 or len(scores) != 4 or boxes[3] != 4 or scores[1] != boxes[1] or scores[3] != boxes[2]:
        raise ValueError(f"boxes must be (N, B, n, 4) and scores (N, B, C, n), got {boxes} and {scores}")
    most = min(whole(attrs["count"], "count", 1, LARGEST_EXPANSION), int(boxes[2] or 0))
    if not isinstance(attrs["score_threshold"], int | float) or not 0 <= attrs["iou_threshold"] <= 1:
        raise ValueError("score_threshold must be a number, iou_threshold one from 0 to 1")
    rows = countable(int(scores[1] or 0) * int(scores[2] or 0) * most, "the boxes that may be kept")
    countable(int(boxes[2] or 0), "the boxes")
    return (boxes[0], rows, 3)


def _nonzero(shapes: Shapes, _attrs: Attrs) -> Shape:
    """(N, rank, elements): a column for each."""
    x = batched(shapes[0], "x", 2)
    size = math.prod(int(d or 0) for d in x[1:])
    return (x[0], len(x) - 1, countable(size, "the elements of x"))


def _first(shapes: Shapes, attrs: Attrs) -> Shape:
    """Shape rule: the shape of x, as there is room for all of it."""
    x, count = batched(shapes[0], "x", 2), shapes[1]
    axis_in(attrs["axis"], x)
    if count != (None, 1):
        raise ValueError(f"count must be one number for each sample, (N, 1), got {count}")
    return x


def _first_part(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    if any(operand.part is not None for operand in operands):
        raise ValueError("it is a part already")
    return Partial(int(attrs["axis"]), operands[1].name)


def _filled_part(operands: Sequence[Operand], attrs: Attrs, _out: Shape) -> Partial | None:
    x, count = operands
    if count.part is not None:
        raise ValueError("its count is a part")
    if x.part is None or x.axis != attrs["axis"]:
        return x.part
    if x.part.count != count.name:
        raise ValueError("it is not padded up to that count")
    return None


OPS: dict[str, OpSchema] = {
    # The indices of the `count` largest (or smallest) numbers of an axis, in order: NaN before everything, of equal
    # ones the first.
    "top_k": OpSchema(
        ("x",),
        _top_k,
        {"axis": integer(), "count": integer(), "largest": flag(True)},
        parts.beside,
        places=True,
    ),
    # Elements by computed indices; a negative one counts from the back, and none leaves its axis: it stops at the end.
    "gather_elements": OpSchema(("x", "indices"), _gather_elements, {"axis": integer()}, _part_of_elements),
    "gather_nd": OpSchema(("x", "indices"), _gather_nd, partial=_part_of_places),
    # Non-maximum suppression, class by class: [b, class, box] of at most `count` boxes each, the best first; rows that
    # are not needed are -1 and come last. Boxes are two corners (y, x, y, x) or, `center`, (x, y, width, height).
    "nms": OpSchema(
        ("boxes", "scores"),
        _nms,
        {
            "count": integer(),
            "iou_threshold": number(0.0),
            "score_threshold": number(-LARGEST_FLOAT32),
            "center": flag(False),
        },
        places=True,
    ),
    # Where x is not 0: one column each; what is left over is -1.
    "nonzero": OpSchema(("x",), _nonzero, places=True),
    # Only the first `count` elements of an axis are valid, a number known only at run time (see `graph.Partial`).
    "first": OpSchema(("x", "count"), _first, {"axis": integer()}, _first_part, makes_part=True),
    # Whatever follows the first `count` elements of an axis becomes `value`: then it is data like any other.
    "fill": OpSchema(("x", "count"), _first, {"axis": integer(), "value": number()}, _filled_part),
}
