"""Lowering of ops that pick, join, repeat and reduce numbers of tensors, shared by both importers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.convolution import linear
from converters.decompose.elementwise import LARGEST, binary, choose, materialize, scalar
from converters.decompose.pooling import global_pool
from converters.decompose.resampling import Axis, Resampling, matrix, picks
from converters.decompose.shapes import BATCH_HINT, axis_of, image_size, reshape, sizes_of, transpose
from sparsenet.graph import Node
from sparsenet.graph.ops import infer_shape


def slice_axis(b: GraphBuilder, site: Site, x: Act, axis: int, start: int, count: int, step: int = 1) -> Act:
    """``count`` elements of an axis of the graph's tensor."""
    if count < 1:
        raise Unsupported("the slice is empty; tensors without elements are not supported")
    size = int(b.shapes[x.tensor][axis] or 0)
    if (start, count, step) == (0, size, 1):
        return x
    attrs = {"axis": axis, "start": start, "count": count, "step": step}
    return b.node("slice", site, [x.tensor], attrs)


def select(b: GraphBuilder, site: Site, x: Act, axis: int, start: int, stop: int, step: int = 1) -> Act:
    """Elements as of Python's ``x[start:stop:step]`` on an axis of the graph's tensor."""
    size = int(b.shapes[x.tensor][axis_of(axis, len(b.shapes[x.tensor]))] or 0)
    chosen = range(*slice(start, stop, step).indices(size))
    return slice_axis(b, site, x, axis, chosen.start, len(chosen), step if len(chosen) > 1 else 1)


def gather(b: GraphBuilder, site: Site, x: Act, axis: int, indices: np.ndarray) -> Act:
    """Elements of an axis of the graph's tensor by number; as many axes come in its place as ``indices`` has."""
    sizes = sizes_of(b, x)
    size = sizes[axis - 1]
    flat = [int(i) for i in indices.reshape(-1)]
    if not flat or any(not -size <= i < size for i in flat):
        raise Unsupported(f"its indices leave an axis of {size} elements, or there are none")
    flat = [i % size for i in flat]
    target = [*sizes[: axis - 1], *indices.shape, *sizes[axis:]]
    picked = site if len(target) == len(sizes) else site.sub("picked")
    if flat == list(range(flat[0], flat[0] + len(flat))):
        x = slice_axis(b, picked, x, axis, flat[0], len(flat))
    else:
        x = b.node("gather", picked, [x.tensor], {"axis": axis, "indices": flat})
    return reshape(b, site, x, target)


def expand(b: GraphBuilder, site: Site, x: Act, target: Sequence[int]) -> Act:
    """Axes of size 1 repeated, and new ones in front of all but the batch, up to ``target`` (without the batch)."""
    sizes = sizes_of(b, x)
    full = [1] * (len(target) - len(sizes)) + sizes
    if len(full) == len(target):
        target = [have if wanted == 1 else wanted for have, wanted in zip(full, target, strict=True)]
    if full == list(target):
        return reshape(b, site, x, full)
    x = reshape(b, site.sub("ranked"), x, full)
    return b.node("expand", site, [x.tensor], {"shape": [int(d) for d in target]})


def tile(b: GraphBuilder, site: Site, x: Act, repeats: Sequence[int]) -> Act:
    """The tensor side by side so many times along every axis behind the batch."""
    sizes = sizes_of(b, x)
    if any(r < 1 for r in repeats):
        raise Unsupported(
            "repeating a tensor no time leaves it empty; tensors without elements are not supported"
        )
    apart = [n for size in sizes for n in (1, size)]
    wanted = [n for size, r in zip(sizes, repeats, strict=True) for n in (r, size)]
    x = reshape(b, site.sub("apart"), x, apart)
    x = expand(b, site.sub("repeated"), x, wanted)
    return reshape(b, site, x, [size * r for size, r in zip(sizes, repeats, strict=True)])


def reduce(b: GraphBuilder, site: Site, x: Act, kind: str, axes: Sequence[int], keepdims: bool) -> Act:
    """Sum, mean, max, min or prod over axes of the graph's tensor; image-wide means and maxima as pooling."""
    shape = b.shapes[x.tensor]
    axes = sorted(axes)
    if not axes:
        return x
    partial = b.partial.get(x.tensor)
    if partial is not None and partial.axis in axes:
        return _reduce_part(b, site, x, kind, axes, keepdims)
    if len(shape) == 4 and axes == [2, 3] and kind in ("mean", "max"):
        return global_pool(b, site, x, axes, keepdims, "avg" if kind == "mean" else kind)
    return b.node("reduce", site, [x.tensor], {"kind": kind, "axes": axes, "keepdims": bool(keepdims)})


#: The neutral element of each reduction.
_NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -LARGEST, "min": LARGEST}


def _reduce_part(b: GraphBuilder, site: Site, x: Act, kind: str, axes: Sequence[int], keepdims: bool) -> Act:
    """A reduction over an axis of which only the first elements are valid."""
    partial, count = b.partial[x.tensor], sizes_of(b, x)
    x = whole(b, site.sub("whole"), x, _NEUTRAL[kind])
    if kind != "mean":
        return reduce(b, site, x, kind, axes, keepdims)
    total = reduce(b, site.sub("sum"), x, "sum", axes, keepdims)
    others = math.prod(count[axis - 1] for axis in axes if axis != partial.axis)
    there = binary(  # a slice of a part has room for fewer than were counted
        b, site.sub("there"), "minimum", Act(partial.count), scalar(count[partial.axis - 1])
    )
    number = reshape(b, site.sub("count"), there, [1] * len(sizes_of(b, total)))
    mean = binary(b, site.sub("by_count"), "div", total, number)
    return binary(b, site, "mul", mean, scalar(1 / others))


def whole(b: GraphBuilder, site: Site, x: Act, value: float) -> Act:
    """A partial tensor as one that is valid as a whole, ``value`` in place of its padding; others as they are."""
    partial = b.partial.get(x.tensor)
    if partial is None:
        return x
    return b.node("fill", site, [x.tensor, partial.count], {"axis": partial.axis, "value": value})


def join(b: GraphBuilder, site: Site, values: Sequence[Value], axis: int) -> Act:
    """Tensors one after the other along an axis of the graph's tensor, constants among them."""
    rank = max(len(b.shapes[value.tensor]) for value in values if isinstance(value, Act))
    tensors = []
    for i, value in enumerate(values):
        if isinstance(value, Const):
            if value.array.size == 0:
                continue
            array = value.array
            if array.ndim == rank:
                if array.shape[0] != 1:
                    raise Unsupported("the constant it joins has a batch dimension of its own")
                array = array[0]
            value = materialize(b, site.sub(f"constant{i}"), Const(array), rank)
        tensors.append(value.tensor)
    if len(tensors) == 1:
        return Act(tensors[0])
    if any(name in b.partial and b.partial[name].axis == axis for name in tensors):
        return _join_parts(b, site, tensors, axis)
    return b.node("concat", site, tensors, {"axis": axis})


def _join_parts(b: GraphBuilder, site: Site, tensors: Sequence[str], axis: int) -> Act:
    """Tensors joined along an axis of which only the first elements of each are valid: these move together."""
    parts = [whole(b, site.sub(f"whole{i}"), Act(name), 0.0).tensor for i, name in enumerate(tensors)]
    x = b.node("concat", site.sub("joined"), parts, {"axis": axis})
    order = [0, axis, *(i for i in range(1, len(b.shapes[x.tensor])) if i != axis)]
    x = transpose(b, site.sub("transposed"), x, order)
    places, total = _what_is_meant(b, site, tensors, axis)
    x = b.node("gather_nd", site.sub("moved"), [x.tensor, places.tensor])
    x = transpose(b, site.sub("back"), x, [order.index(i) for i in range(len(order))])
    return b.node("first", site, [x.tensor, total.tensor], {"axis": axis})


def _what_is_meant(b: GraphBuilder, site: Site, tensors: Sequence[str], axis: int) -> tuple[Act, Act]:
    """Indices (N, size, 1) of the valid elements of joined tensors, and their number (N, 1)."""
    sizes = [int(b.shapes[name][axis] or 0) for name in tensors]
    counts = [b.partial[name].count if name in b.partial else "" for name in tensors]
    key = tuple(zip(counts, sizes, strict=True))
    if key not in b.joined:
        there = []
        for i, (name, size) in enumerate(key):
            full = Const(np.full(1, size, np.float32))
            count = Act(name) if name else materialize(b, site.sub(f"size{i}"), full, 2)
            ranks = Const(np.arange(size, dtype=np.float32))
            there.append(binary(b, site.sub(f"there{i}"), "less", ranks, count).tensor)
        mask = b.node("concat", site.sub("there"), there, {"axis": 1})
        attrs = {"kind": "sum", "axes": [1], "keepdims": True}
        total = b.node("reduce", site.sub("count"), [mask.tensor], attrs)
        places = b.node("nonzero", site.sub("places"), [mask.tensor])
        b.joined[key] = reshape(b, site.sub("indices"), places, [sum(sizes), 1]), total
    return b.joined[key]


def pad_axis(
    b: GraphBuilder, site: Site, x: Act, axis: int, before: int, after: int, value: float, mode: str
) -> Act:
    """Padding of any one axis, which becomes the rows of an image for that."""
    sizes = sizes_of(b, x)
    i = axis - 1
    outer, inner = int(np.prod(sizes[:i])), int(np.prod(sizes[i + 1 :]))
    image = reshape(b, site.sub("image"), x, [outer, sizes[i], inner])
    attrs = {"padding": [before, 0, after, 0], "value": float(value), "mode": mode}
    padded = b.node("pad", site.sub("padded"), [image.tensor], attrs)
    return reshape(b, site, padded, [*sizes[:i], before + sizes[i] + after, *sizes[i + 1 :]])


def pad(
    b: GraphBuilder,
    site: Site,
    x: Act,
    before: Sequence[int],
    after: Sequence[int],
    value: float,
    mode: str = "constant",
) -> Act:
    """Padding; ``before`` and ``after`` have one number per dimension of the graph's tensor, negative ones crop."""
    shape = b.shapes[x.tensor]
    if before[0] or after[0]:
        raise Unsupported(BATCH_HINT)
    for axis in range(1, len(shape)):
        cut = [max(0, -amount) for amount in (before[axis], after[axis])]
        if any(cut):
            count = int(shape[axis] or 0) - sum(cut)
            x = slice_axis(b, site.sub(f"cropped{axis}"), x, axis, cut[0], count)
    before, after = ([max(0, amount) for amount in amounts] for amounts in (before, after))
    if not any(before) and not any(after):
        return x
    if value == -math.inf and len(shape) == 4 and not any(before[:2]) and not any(after[:2]):
        padding = [before[2], before[3], after[2], after[3]]
        padded = Node("pad", site.name, [x.tensor], [site.tensor], {"padding": padding})
        b.minus_inf[site.tensor] = (x.tensor, padding)
        return b.stand_in(site.tensor, infer_shape(padded, [b.shapes[x.tensor]], {}))
    if math.isnan(value):
        raise Unsupported("padding with NaN is not supported")
    if math.isinf(value):
        around = np.ones([d + p + q for d, p, q in zip(sizes_of(b, x), before[1:], after[1:], strict=True)])
        around[tuple(slice(p, p + d) for p, d in zip(before[1:], sizes_of(b, x), strict=True))] = 0
        x = pad(b, site.sub("padded"), x, before, after, 0.0)
        return choose(b, site, Const(around.astype(np.float32)), scalar(value), x)
    axes = [axis for axis in range(1, len(shape)) if before[axis] or after[axis]]
    image = len(shape) == 4 and axes[-1] >= 2
    rest = [axis for axis in axes if not (image and axis >= 2)]
    for axis in rest:
        part = site if not image and axis == rest[-1] else site.sub(f"axis{axis}")
        x = pad_axis(b, part, x, axis, before[axis], after[axis], value, mode)
    if not image:
        return x
    attrs = {"padding": [before[2], before[3], after[2], after[3]], "value": float(value)}
    return b.node("pad", site, [x.tensor], attrs if mode == "constant" else attrs | {"mode": mode})


#: Numbers the matrix of a resampling or of sums may have.
LARGEST_MATRIX = 1 << 24


def resample_axis(b: GraphBuilder, site: Site, x: Act, axis: int, how: Axis, rule: Resampling) -> Act:
    """One axis resampled: a choice of its elements where that is all, else a product with a matrix."""
    if how.size * how.out > LARGEST_MATRIX:
        raise Unsupported(
            f"resampling {how.size} to {how.out} pixels by '{rule.coordinates}' takes too large a matrix"
        )
    resampling = matrix(how, rule)
    chosen = picks(resampling)
    if chosen is not None:
        return gather(b, site, x, axis, chosen)
    return times(b, site, x, axis, resampling)


def cumulative_sum(
    b: GraphBuilder, site: Site, x: Act, axis: int, *, exclusive: bool = False, reverse: bool = False
) -> Act:
    """Sums up to each element, by a triangular matrix; ``exclusive``: without it; ``reverse``: from the end.

    An infinity or NaN spoils every sum along the axis, for the matrix's zeros are multiplied as well.
    """
    size = sizes_of(b, x)[axis - 1]
    if size * size > LARGEST_MATRIX:
        raise Unsupported(f"the sum along {size} elements takes too large a matrix")
    sums = np.tri(size, k=-int(exclusive), dtype=np.float32)
    return times(b, site, x, axis, sums.T if reverse else sums)


def times(b: GraphBuilder, site: Site, x: Act, axis: int, matrix: np.ndarray) -> Act:
    """The product of a matrix (M, n) with the graph's axis of n elements."""
    sizes = sizes_of(b, x)
    if len(sizes) == 1:
        return linear(b, site, x, Const(matrix), None)
    if axis == len(sizes):
        return binary(b, site, "matmul", x, Const(matrix.T))
    outer, inner = math.prod(sizes[: axis - 1]), math.prod(sizes[axis:])
    image = reshape(b, site.sub("rows"), x, [outer, sizes[axis - 1], inner])
    made = binary(b, site.sub("product"), "matmul", Const(matrix), image)
    return reshape(b, site, made, [*sizes[: axis - 1], len(matrix), *sizes[axis:]])


def resize(b: GraphBuilder, site: Site, x: Act, size: Sequence[int], mode: str, coordinates: str) -> Act:
    """Resampling to ``size`` (H, W)."""
    if list(image_size(b, x)) == list(size):
        return x
    attrs = {"size": [int(s) for s in size], "mode": mode, "coordinates": coordinates}
    return b.node("resize", site, [x.tensor], attrs)
