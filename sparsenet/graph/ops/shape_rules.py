"""Shape rules of the ops that work on tensors of any rank: reductions, slices, products.

As in ``ops``: ``(input shapes, attributes with defaults) -> output shape``; a ``ValueError`` says what does not fit.
Attributes may come from a file, so nothing about them is taken for granted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparsenet.graph.types import Shape

Shapes = list[Shape | None]
Attrs = Mapping[str, Any]

#: Dimensions of a tensor. NumPy arrays have at most 64; a few more stand around one while it is taken apart.
MAX_RANK = 32
REDUCTIONS = ("sum", "mean", "max", "min", "prod")
#: Elements an expanded tensor may have for one image: a few bytes of file must not ask for all memory.
LARGEST_EXPANSION = 1 << 31

#: Elements of an axis whose numbers are computed: float32 holds whole numbers up to there.
LARGEST_INDEX = 1 << 24


def whole(value: Any, name: str, low: int, high: int) -> int:
    """``value``, which must be an integer in [low, high]."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, got {value!r}")
    return value


def present(shape: Shape | None) -> Shape:
    """The shape of an input that must be there."""
    if shape is None or not shape:
        raise ValueError("an input without dimensions")
    return shape


def axis_in(value: Any, shape: Shape) -> int:
    """An axis of ``shape`` that is not the batch."""
    if len(shape) < 2:
        raise ValueError(f"a tensor of shape {shape} has no axis but the batch")
    return whole(value, "axis", 1, len(shape) - 1)


def broadcast(shapes: Shapes, _attrs: Attrs) -> Shape:
    """NumPy's rule over all inputs."""
    given = [shape if shape is not None else () for shape in shapes]
    rank = max(map(len, given))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in given]
    out: list[int | None] = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise ValueError(f"shapes {' and '.join(map(str, padded))} do not broadcast")
        out.append(others.pop() if others else 1)
    return tuple(out)


def reduce(shapes: Shapes, attrs: Attrs) -> Shape:
    """The reduced axes become 1, or go."""
    x, axes = present(shapes[0]), attrs["axes"]
    if attrs["kind"] not in REDUCTIONS:
        raise ValueError(f"kind must be one of {', '.join(REDUCTIONS)}, got {attrs['kind']!r}")
    if not isinstance(axes, Sequence) or not axes or len({axis_in(a, x) for a in axes}) != len(axes):
        raise ValueError(f"axes must be different axes of {x}, got {axes!r}")
    if attrs["keepdims"]:
        return tuple(1 if i in axes else d for i, d in enumerate(x))
    return tuple(d for i, d in enumerate(x) if i not in axes)


def argmax(shapes: Shapes, attrs: Attrs) -> Shape:
    """The axis becomes 1."""
    x = present(shapes[0])
    axis = axis_in(attrs["axis"], x)
    return (*x[:axis], 1, *x[axis + 1 :])


def normalize(shapes: Shapes, attrs: Attrs) -> Shape:
    """As it was."""
    x = present(shapes[0])
    axis_in(attrs["axis"], x)
    if not isinstance(attrs["eps"], int | float) or not 0 <= attrs["eps"] < math.inf:
        raise ValueError(f"eps must be a number of at least 0, got {attrs['eps']!r}")
    return x


def matmul(shapes: Shapes, _attrs: Attrs) -> Shape:
    """(…, M, K) times (…, K, P), what stands in front broadcast."""
    a, b = present(shapes[0]), present(shapes[1])
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError(f"cannot multiply matrices of shapes {a} and {b}")
    front = broadcast([a[:-2], b[:-2]], {})
    if len(front) < 1:
        raise ValueError(f"a product of {a} and {b} has no batch")
    return (*front, a[-2], b[-1])


def slice_axis(shapes: Shapes, attrs: Attrs) -> Shape:
    """``count`` elements of one axis."""
    x = present(shapes[0])
    axis = axis_in(attrs["axis"], x)
    size = int(x[axis] or 0)
    start, count = whole(attrs["start"], "start", 0, size - 1), whole(attrs["count"], "count", 1, size)
    step = whole(attrs["step"], "step", -size, size)
    if step == 0 or not 0 <= start + (count - 1) * step < size:
        raise ValueError(f"{count} elements from {start} on in steps of {step} leave an axis of {size}")
    return (*x[:axis], count, *x[axis + 1 :])


def gather(shapes: Shapes, attrs: Attrs) -> Shape:
    """As many elements as indices."""
    x, indices = present(shapes[0]), attrs["indices"]
    axis = axis_in(attrs["axis"], x)
    if not isinstance(indices, Sequence) or not indices:
        raise ValueError("indices must be a list with at least one index")
    for index in indices:
        whole(index, "an index", 0, int(x[axis] or 0) - 1)
    return (*x[:axis], len(indices), *x[axis + 1 :])


def depth_to_space(shapes: Shapes, attrs: Attrs) -> Shape:
    """(N, C · r · s, H, W) to (N, C, H · r, W · s)."""
    x, (r, s) = _image(shapes[0]), _block(attrs)
    if x[1] % (r * s):
        raise ValueError(f"{x[1]} channels cannot be arranged in blocks of {r} x {s}")
    return (shapes[0][0], x[1] // (r * s), x[2] * r, x[3] * s)  # type: ignore[index]


def space_to_depth(shapes: Shapes, attrs: Attrs) -> Shape:
    """(N, C, H · r, W · s) to (N, C · r · s, H, W)."""
    x, (r, s) = _image(shapes[0]), _block(attrs)
    if x[2] % r or x[3] % s:
        raise ValueError(f"an image of {x[2]} x {x[3]} cannot be cut into blocks of {r} x {s}")
    return (shapes[0][0], x[1] * r * s, x[2] // r, x[3] // s)  # type: ignore[index]


def _image(shape: Shape | None) -> tuple[int, ...]:
    if shape is None or len(shape) != 4:
        raise ValueError(f"x must be (N, C, H, W), got {shape}")
    return tuple(int(d or 0) for d in shape)


def _block(attrs: Attrs) -> tuple[int, int]:
    block = attrs["block"]
    if not isinstance(block, Sequence) or len(block) != 2:
        raise ValueError(f"block must be 2 sizes, rows and columns, got {block!r}")
    if not isinstance(attrs["depth_first"], bool):
        raise ValueError(f"depth_first must be true or false, got {attrs['depth_first']!r}")
    rows, columns = (whole(size, "a size of block", 1, LARGEST_INDEX) for size in block)
    return rows, columns


def expand(shapes: Shapes, attrs: Attrs) -> Shape:
    """The given sizes, behind the batch."""
    x, target = present(shapes[0]), attrs["shape"]
    if not isinstance(target, Sequence) or len(target) != len(x) - 1:
        raise ValueError(f"shape must be {len(x) - 1} sizes without the batch, got {target!r}")
    for have, wanted in zip(x[1:], target, strict=True):
        if whole(wanted, "a size", 1, LARGEST_EXPANSION) != have and have != 1:
            raise ValueError(f"{x} cannot be expanded to (N, {', '.join(map(str, target))})")
    if math.prod(target) > LARGEST_EXPANSION:
        raise ValueError(f"expanding {x} to {list(target)} makes {math.prod(target)} elements")
    return (x[0], *target)


def _batched(shape: Shape | None, role: str, rank: int) -> Shape:
    """The shape of an input that is no constant and has at least ``rank`` dimensions."""
    if shape is None or len(shape) < rank or shape[0] is not None:
        raise ValueError(f"{role} must be computed and have at least {rank} dimensions, got {shape}")
    return shape


def _countable(size: int, what: str) -> int:
    if size > LARGEST_INDEX:
        raise ValueError(f"{what} are {size}, more than {LARGEST_INDEX} cannot be counted in float32")
    return size


def top_k(shapes: Shapes, attrs: Attrs) -> Shape:
    """As many indices on the axis as are wanted."""
    x = _batched(shapes[0], "x", 2)
    axis = axis_in(attrs["axis"], x)
    size = _countable(int(x[axis] or 0), "the elements of its axis")
    return (*x[:axis], whole(attrs["count"], "count", 1, size), *x[axis + 1 :])


def gather_elements(shapes: Shapes, attrs: Attrs) -> Shape:
    """One index for each element of the result; sizes differ on the axis only."""
    x, indices = _batched(shapes[0], "x", 2), _batched(shapes[1], "indices", 2)
    axis = axis_in(attrs["axis"], x)
    if len(indices) != len(x) or any(
        a != b for i, (a, b) in enumerate(zip(x, indices, strict=True)) if i != axis
    ):
        raise ValueError(f"indices {indices} must have the sizes of {x} but for axis {axis}")
    return indices


def gather_nd(shapes: Shapes, _attrs: Attrs) -> Shape:
    """The last axis of the indices names a place on as many axes of x, from the first behind the batch on."""
    x, indices = _batched(shapes[0], "x", 2), _batched(shapes[1], "indices", 2)
    depth = int(indices[-1] or 0)
    if depth >= len(x):
        raise ValueError(f"indices {indices} name places on {depth} axes, x is {x}")
    out = (*indices[:-1], *x[1 + depth :])
    if math.prod(int(d or 1) for d in out) > LARGEST_EXPANSION:
        raise ValueError(f"the result {out} would have more than {LARGEST_EXPANSION} elements")
    return out


def nms(shapes: Shapes, attrs: Attrs) -> Shape:
    """Boxes (N, B, n, 4) and scores (N, B, C, n): a row of [b, class, box] for every box that may be kept."""
    boxes, scores = _batched(shapes[0], "boxes", 4), _batched(shapes[1], "scores", 4)
    if len(boxes) != 4 or len(scores) != 4 or boxes[3] != 4 or scores[1] != boxes[1] or scores[3] != boxes[2]:
        raise ValueError(f"boxes must be (N, B, n, 4) and scores (N, B, C, n), got {boxes} and {scores}")
    most = min(whole(attrs["count"], "count", 1, LARGEST_EXPANSION), int(boxes[2] or 0))
    if not isinstance(attrs["score_threshold"], int | float) or not 0 <= attrs["iou_threshold"] <= 1:
        raise ValueError("score_threshold must be a number, iou_threshold one from 0 to 1")
    rows = _countable(int(scores[1] or 0) * int(scores[2] or 0) * most, "the boxes that may be kept")
    _countable(int(boxes[2] or 0), "the boxes")
    return (boxes[0], rows, 3)


def nonzero(shapes: Shapes, _attrs: Attrs) -> Shape:
    """(N, rank, elements): a column for each."""
    x = _batched(shapes[0], "x", 2)
    size = math.prod(int(d or 0) for d in x[1:])
    return (x[0], len(x) - 1, _countable(size, "the elements of x"))


def first(shapes: Shapes, attrs: Attrs) -> Shape:
    """As it was: there is room for all of it."""
    x, count = _batched(shapes[0], "x", 2), shapes[1]
    axis_in(attrs["axis"], x)
    if count != (None, 1):
        raise ValueError(f"count must be one number for each sample, (N, 1), got {count}")
    return x
