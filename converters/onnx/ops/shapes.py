"""ONNX operations that move, join, cut, repeat or rename data, under their ONNX names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose import tensors
from converters.decompose.choice import head
from converters.decompose.elementwise import choose, scalar
from converters.decompose.shapes import (
    BATCH_HINT,
    axis_of,
    depth_to_space,
    reshape,
    space_to_depth,
    transpose,
)
from converters.onnx.call import THE_END, Call, Rule, per_image
from converters.symbolic.sizes import THE_BATCH, Sizes, Unknown, settled, sizes_of_shape
from sparsenet.graph import Shape
from sparsenet.graph.ops.images import PAD_MODES


def concat(c: Call) -> Act:
    """Rule of Concat: along any axis but the batch; negative ones count from the back."""
    values = [c.operand(i) for i in range(len(c.inputs))]
    first = next(v for v in values if isinstance(v, Act))
    if len(values) == 1:
        return first
    rank, axis = len(c.shape_of(first)), c.attrs["axis"]
    front = axis_of((axis + rank if axis < 0 else axis) + c.lead, rank + c.lead)
    return tensors.join(c.b, c.site, values, front)


def flatten(c: Call) -> Act:
    """Rule of Flatten: (N, ...) → (N, F); an axis further back only where it leaves the batch alone."""
    axis, shape = c.attrs.get("axis", 1), c.shape
    axis += len(shape) if axis < 0 else 0
    if c.lead:
        sizes = c.sizes
        return reshape(c.b, c.site, c.x, [math.prod(sizes[:axis]), math.prod(sizes[axis:])])
    if axis < 1 or any(d != 1 for d in shape[1:axis]):
        raise Unsupported(BATCH_HINT, "axis")
    return reshape(c.b, c.site, c.x, [math.prod(c.sizes)])


def _target(c: Call, index: int, what: str) -> list[int | None]:
    """Sizes from a constant or a shape computation; None for the batch, or for the valid length of an axis."""
    if index == 1 and c.opset < 5:
        return list(c.attrs["shape"])
    target = c.get(index)
    if isinstance(target, Const):
        return [int(v) for v in target.array.ravel()]
    if isinstance(target, Sizes):
        sizes = target.dims()
        _require_own_counts(c, target)
        return sizes
    raise Unsupported(f"its {what} is computed from the input's values")


def _require_own_counts(c: Call, target: Sizes) -> None:
    """Require that a size that depends on the data is the valid length of ``x`` itself."""
    partial = c.b.partial.get(c.x.tensor)
    for size in target.entries():
        if isinstance(size, int) or size == THE_BATCH:
            continue
        if partial is None or size.counts != {partial.count} or size.most < c.sizes[partial.axis - 1]:
            raise Unsupported("a size it needs depends on other data than its input does")


def _room(c: Call, sizes: list[int | None], axis: int | None = None) -> list[int]:
    """Sizes with the one that depends on the data as the room there is for it: it can only be that of ``x``.

    If it could be another, as where a tensor is expanded, ``axis`` says the position it must have to be the same.
    """
    partial, unknown = c.b.partial.get(c.x.tensor), [i for i, d in enumerate(sizes) if d is None]
    if unknown and (partial is None or len(unknown) > 1 or axis not in (None, unknown[0])):
        raise Unsupported("a size it needs depends on the data")
    return [c.sizes[partial.axis - 1] if d is None and partial else int(d or 0) for d in sizes]


def _reshape(c: Call) -> Act:
    """Reshape to a constant or a shape computation: 0 copies, -1 is inferred, the batch may be either."""
    wanted, shape = _target(c, 1, "shape"), c.shape
    if not c.attrs.get("allowzero", 0):
        wanted = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(wanted)]
    if c.lead:
        wanted = [*_room(c, wanted)]
    total = math.prod(c.sizes)
    first, rest = (None, wanted) if c.lead else (wanted[0], wanted[1:]) if wanted else (None, [])
    if not c.lead and (not rest or any(d is None or d == 0 for d in rest)):
        raise Unsupported(BATCH_HINT)
    sizes = [int(d or 0) for d in rest]
    if 0 in sizes:
        raise Unsupported("tensors without elements are not supported")
    known = math.prod(d for d in sizes if d > 0)
    if first is None or (first == c.static_batch and first is not None):
        sizes = [total // known if d == -1 else d for d in sizes]
    elif first != -1 or -1 in sizes:
        raise Unsupported(f"its shape {wanted} fixes the batch; export the model with a free batch dimension")
    if math.prod(sizes) != total:
        raise Unsupported(f"shape {wanted} of a tensor {shape} would change the batch")
    return reshape(c.b, c.site, c.x, sizes)


def squeeze(c: Call) -> Act:
    """Axes from an attribute (before opset 13) or an input."""
    axes, shape = c.numbers(1, "axes", 13, "axes"), c.shape
    if axes is None:
        dropped = {i + c.lead for i, d in enumerate(shape) if d == 1}
    else:
        dropped = {c.axis(a) for a in axes}
    if any(shape[i - c.lead] != 1 for i in dropped):
        raise Unsupported(f"only dimensions of size 1 can be squeezed, got {shape}", "axes")
    return reshape(c.b, c.site, c.x, [d for i, d in enumerate(c.sizes, 1) if i not in dropped])


def unsqueeze(c: Call) -> Act:
    """Axes from an attribute (before opset 13) or an input."""
    axes = c.numbers(1, "axes", 13, "axes") or []
    rank = len(c.shape) + len(axes) + c.lead
    added = {axis_of(a + c.lead if a >= 0 else a + rank, rank) for a in axes}
    if len(added) != len(axes):
        raise Unsupported(f"{axes} names an axis twice", "axes")
    if 0 in added:
        raise Unsupported("an axis in front of the batch is not supported", "axes")
    old = iter(c.sizes)
    return reshape(c.b, c.site, c.x, [1 if i in added else next(old) for i in range(1, rank)])


def _transpose(c: Call) -> Act:
    """Rule of Transpose; the batch must stay in front."""
    perm = c.attrs.get("perm", list(reversed(range(len(c.shape)))))
    return transpose(c.b, c.site, c.x, [0, *(p + 1 for p in perm)] if c.lead else perm)


def pad(c: Call) -> Act:
    """Padding of any axis but the batch; amounts from an attribute (before opset 11) or an input."""
    mode = c.attrs.get("mode", "constant")
    if mode not in PAD_MODES:
        raise Unsupported(f"mode '{mode}' is not known", "mode")
    if isinstance(c.get(1), Sizes):
        return _pad_part(c, mode)
    amounts, rank = c.numbers(1, "pads", 11, "pads") or [], len(c.shape)
    value = c.const(2, "value") if c.opset >= 11 else Const(np.array(c.attrs.get("value", 0.0), np.float32))
    axes = c.const(3, "axes")
    touched = list(range(rank)) if axes is None else [int(a) % rank for a in axes.array.ravel()]
    if len(amounts) != 2 * len(touched):
        raise Unsupported(f"{len(amounts)} pads do not fit {len(touched)} dimensions", "pads")
    before, after = [0] * (rank + c.lead), [0] * (rank + c.lead)
    for i, axis in enumerate(touched):
        before[axis + c.lead], after[axis + c.lead] = amounts[i], amounts[i + len(touched)]
    number = 0.0 if value is None or not value.array.size else float(value.array.item())
    return tensors.pad(c.b, c.site, c.x, before, after, number, mode)


def _pad_part(c: Call, mode: str) -> Act:
    """A part padded to a size that is always the same: what is there, and as much padding as is left."""
    amounts, value, partial = c.get(1), c.const(2, "value"), c.b.partial.get(c.x.tensor)
    number = 0.0 if value is None or not value.array.size else float(value.array.item())
    rank = len(c.shape)
    if (
        not isinstance(amounts, Sizes)
        or partial is None
        or mode != "constant"
        or c.const(3, "axes") is not None
    ):
        raise Unsupported("its amounts depend on the data")
    end, have = rank + partial.axis - c.lead, c.sizes[partial.axis - 1]
    fill = np.arange(2 * rank) == end
    meant = Unknown(frozenset({partial.count}), have)
    if (
        set(amounts.slopes) != {meant}
        or (amounts.slopes[meant] != -fill.astype(int)).any()
        or amounts.base[~fill].any()
    ):
        raise Unsupported("its amounts depend on the data in a way that cannot be followed")
    size = int(amounts.base[end])
    x = tensors.whole(c.b, c.at("whole"), c.x, number)
    if have >= size:
        return tensors.slice_axis(c.b, c.site, x, partial.axis, 0, size)
    return tensors.pad_axis(c.b, c.site, x, partial.axis, 0, size - have, number, "constant")


def _meant(c: Call) -> tuple[Shape, Unknown]:
    """The shape of ``x`` in which None is the size that is only known when the network runs, and that size."""
    partial = c.b.partial.get(c.x.tensor)
    if partial is None:
        return c.shape, THE_BATCH
    axis = partial.axis - c.lead
    if not c.lead:
        raise Unsupported("more than the batch is only known when the network runs")
    shape = tuple(None if i == axis else d for i, d in enumerate(c.shape))
    return shape, Unknown(frozenset({partial.count}), c.sizes[partial.axis - 1])


def shape(c: Call) -> Value | Sizes:
    """Rule of Shape: sizes are known but for the batch, or for a length that depends on the data."""
    sizes, unknown = _meant(c)
    return sizes_of_shape(sizes[c.attrs.get("start", 0) : c.attrs.get("end")], unknown)


def size(c: Call) -> Value | Sizes:
    """Rule of Size: the number of elements."""
    sizes, unknown = _meant(c)
    count = np.array(math.prod(d for d in sizes if d is not None), np.int64)
    return settled(count * 0, {unknown: count}) if None in sizes else Const(count)


def split(c: Call) -> list[Act]:
    """Rule of Split: parts of one axis; sizes from an attribute (before opset 13), an input, or equal."""
    axis = c.axis(c.attrs.get("axis", 0))
    total, count = c.sizes[axis - 1], len(c.outputs)
    sizes = c.numbers(1, "split", 13, "split")
    if sizes is None:
        part = -(-total // count)
        sizes = [min(part, total - part * i) for i in range(count)]
    parts, start = [], 0
    for i, (length, tensor) in enumerate(zip(sizes, c.outputs, strict=True)):
        site = Site(f"{c.site.name}.{i}", tensor)
        parts.append(tensors.select(c.b, site, c.x, axis, start, start + length))
        start += length
    return parts


def cut(c: Call) -> Act:
    """Rule of Slice: a range of each of some axes."""
    ends: Sequence[int | Unknown]
    if c.opset < 10:
        starts, ends, axes, steps = c.attrs["starts"], c.attrs["ends"], c.attrs.get("axes"), None
    else:
        starts, axes, steps = (c.numbers(i, "", 10, "bounds") for i in (1, 3, 4))
        computed = c.get(2)
        ends = computed.entries() if isinstance(computed, Sizes) else c.numbers(2, "", 10, "bounds") or []
    starts = starts or []
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    x, rank = c.x, len(c.shape)
    for i, (start, end, axis, step) in enumerate(zip(starts, ends, axes, steps, strict=True)):
        front = axis % rank
        site = c.site if i == len(starts) - 1 else c.at(f"axis{front}")
        if front + c.lead == 0:
            if (start, step) == (0, 1) and (end == THE_BATCH if isinstance(end, Unknown) else end >= THE_END):
                continue  # all of the batch
            raise Unsupported(BATCH_HINT, "axes")
        if isinstance(end, Unknown):
            if start or step != 1:
                raise Unsupported(
                    "where it ends depends on the data; it can take only the first elements", "axes"
                )
            x = head(c.b, site, x, front + c.lead, end)
            continue
        have = int(c.b.shapes[x.tensor][front + c.lead] or 0)
        partial = c.b.partial.get(x.tensor)
        if partial and partial.axis == front + c.lead and (start or step != 1 or end < 0):
            raise Unsupported(
                "where its axis ends depends on the data; it can take only the first elements", "axes"
            )
        # As in ONNX: bounds beyond the ends are clamped; a negative step runs to the very front at INT_MIN.
        chosen = range(*slice(start, end if step > 0 or end >= -have else None, step).indices(have))
        x = tensors.slice_axis(
            c.b, site, x, front + c.lead, chosen.start, len(chosen), step if len(chosen) > 1 else 1
        )
    return x


def expand(c: Call) -> Act:
    """Rule of Expand: broadcast to a shape, which cannot add a batch."""
    target, shape, partial = _target(c, 1, "shape"), c.shape, c.b.partial.get(c.x.tensor)
    if not c.lead:
        if len(target) != len(shape) or target[0] not in (None, 1, c.static_batch):
            raise Unsupported(BATCH_HINT)
        return tensors.expand(c.b, c.site, c.x, [int(d or 1) for d in target[1:]])
    same = None if partial is None else len(target) - len(shape) + partial.axis - 1
    return tensors.expand(c.b, c.site, c.x, [d or 1 for d in _room(c, target, same)])


def tile(c: Call) -> Act:
    """Rule of Tile: repetition along any axis but the batch."""
    repeats = c.numbers(1, "", 6, "repeats") or []
    if not c.lead:
        if repeats[:1] != [1]:
            raise Unsupported(BATCH_HINT)
        repeats = repeats[1:]
    return tensors.tile(c.b, c.site, c.x, repeats)


def trilu(c: Call) -> Act:
    """Rule of Trilu: the triangle of matrices above, or below, a diagonal; 0 elsewhere."""
    if len(c.sizes) < 2:
        raise Unsupported(BATCH_HINT)
    number = c.const(1, "diagonal")
    k, (rows, columns) = 0 if number is None else int(number.array.item()), c.sizes[-2:]
    below = np.tri(rows, columns, k=k - 1 if c.attrs.get("upper", 1) else k)
    kept = Const(1 - below if c.attrs.get("upper", 1) else below)
    return choose(c.b, c.site, kept, c.x, scalar(0.0), c.lead)


def _depth_to_space(c: Call) -> Act:
    """Rule of DepthToSpace: channels to pixels."""
    block = [c.attrs["blocksize"]] * 2
    return depth_to_space(c.b, c.site, c.x, block, c.attrs.get("mode", "DCR") == "DCR")


def _space_to_depth(c: Call) -> Act:
    """Rule of SpaceToDepth: pixels to channels."""
    block = [c.attrs["blocksize"]] * 2
    return space_to_depth(c.b, c.site, c.x, block, c.attrs.get("mode", "DCR") == "DCR")


RULES: dict[str, Rule] = {
    "Concat": concat,
    "Flatten": flatten,
    "Reshape": _reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": _transpose,
    "Pad": pad,
    "Shape": shape,
    "Size": size,
    "Split": split,
    "Slice": cut,
    "Expand": expand,
    "Tile": tile,
    "Trilu": trilu,
    "DepthToSpace": per_image(_depth_to_space),
    "SpaceToDepth": per_image(_space_to_depth),
}
