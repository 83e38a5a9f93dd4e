"""Lowering of ops that choose by value: largest numbers, elements at computed indices, boxes, what is not zero."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.elementwise import LARGEST, binary, materialize, scalar
from converters.decompose.shapes import reshape, sizes_of, transpose
from converters.decompose.tensors import join, slice_axis, whole
from converters.symbolic.sizes import BATCH, Sizes, Unknown


def top_k(
    b: GraphBuilder, values: Site, indices: Site, x: Act, axis: int, count: int | Unknown, largest: bool
) -> list[Value]:
    """The ``count`` largest or smallest numbers of the graph's axis in order, and their places on it.

    Of a part as many as there are, if that is fewer.
    """
    size = int(b.shapes[x.tensor][axis] or 0)
    wanted = _with_part(b, x, axis, count)
    if isinstance(wanted, Unknown):
        filled = whole(b, values.sub("whole"), x, -LARGEST if largest else LARGEST)
        most = _common(b, values.sub("most"), wanted)
        count = int(min(wanted.most, size))
        found = top_k(b, values.sub("all"), indices.sub("all"), filled, axis, count, largest)
        sites = zip((values, indices), found, strict=True)
        return [
            b.node("first", site, [v.tensor, most.tensor], {"axis": axis})
            for site, v in sites
            if isinstance(v, Act)
        ]
    if not 1 <= wanted <= size:
        raise Unsupported(f"it takes {wanted} elements of an axis of {size}", "k")
    attrs = {"axis": axis, "count": wanted, "largest": largest}
    places = b.node("top_k", indices, [x.tensor], attrs)
    return [b.node("gather_elements", values, [x.tensor, places.tensor], {"axis": axis}), places]


def head(b: GraphBuilder, site: Site, x: Act, axis: int, count: Unknown) -> Act:
    """The first ``count`` elements of the graph's axis, or as many as there are."""
    partial, wanted = b.partial.get(x.tensor), _with_part(b, x, axis, count)
    assert isinstance(wanted, Unknown)
    own = partial is not None and partial.axis == axis and wanted.counts == {partial.count}
    if not own and partial is not None and partial.axis == axis:
        x = whole(b, site.sub("whole"), x, 0.0)
    size = int(min(wanted.most, sizes_of(b, x)[axis - 1]))
    x = slice_axis(b, site if own else site.sub("room"), x, axis, 0, size)
    if own:
        return x  # the first few of the first so many
    most = _common(b, site.sub("most"), wanted)
    return b.node("first", site, [x.tensor, most.tensor], {"axis": axis})


def _with_part(b: GraphBuilder, x: Act, axis: int, count: int | Unknown) -> int | Unknown:
    """``count``, or how many elements the axis has, if that depends on the data and is fewer."""
    partial, size = b.partial.get(x.tensor), int(b.shapes[x.tensor][axis] or 0)
    if partial is None or partial.axis != axis:
        return count if isinstance(count, int) else replace(count, most=min(count.most, size))
    if isinstance(count, int):
        if count < 1:
            raise Unsupported(f"it takes {count} elements", "k")
        return Unknown(frozenset({partial.count}), min(count, size))
    return Unknown(count.counts | {partial.count}, min(count.most, size))


def _common(b: GraphBuilder, site: Site, unknown: Unknown) -> Act:
    """The smallest of the counts, (N, 1); where there is no room for more than ``most``, that is all it takes."""
    if BATCH in unknown.counts:
        raise Unsupported("arithmetic with the batch size is not supported")
    first, *others = sorted(unknown.counts)
    result = Act(first)
    for i, name in enumerate(others):
        part = site if i == len(others) - 1 else site.sub(f"count{i}")
        result = binary(b, part, "minimum", result, Act(name))
    return result


def numbers(b: GraphBuilder, site: Site, sizes: Sizes) -> Act:
    """Sizes as numbers of the graph, computed when it runs; Unsupported if the batch size is one of them."""
    result: Value = Const(sizes.base)
    for i, (unknown, slope) in enumerate(sizes.slopes.items()):
        count = _common(b, site.sub(f"common{i}"), unknown)
        count = binary(b, site.sub(f"size{i}"), "minimum", count, scalar(unknown.most))
        count = reshape(b, site.sub(f"ranked{i}"), count, [1] * slope.ndim)
        term = binary(b, site.sub(f"term{i}"), "mul", count, Const(slope))
        last = i == len(sizes.slopes) - 1
        result = binary(b, site if last else site.sub(f"sum{i}"), "add", term, result)
    assert isinstance(result, Act)
    return result


def computed(b: GraphBuilder, site: Site, value: Value, rank: int) -> Act:
    """A constant as a tensor of ``rank`` dimensions, the batch among them; what is computed as it is."""
    return value if isinstance(value, Act) else materialize(b, site, value, rank)


def gather_elements(b: GraphBuilder, site: Site, x: Act, indices: Act, axis: int) -> Act:
    """Elements of the graph's axis, each at its own index; ``indices`` may be smaller on the other axes."""
    for other, size in enumerate(sizes_of(b, indices), 1):
        if other != axis:
            x = slice_axis(b, site.sub(f"axis{other}"), x, other, 0, size)
    return b.node("gather_elements", site, [x.tensor, indices.tensor], {"axis": axis})


def gather_nd(b: GraphBuilder, site: Site, x: Act, indices: Act, shared: int) -> Act:
    """Elements at the places that the last axis of ``indices`` names, ``shared`` axes behind the batch in common."""
    sizes, places = sizes_of(b, x), sizes_of(b, indices)
    depth, blocks = places[-1], math.prod(sizes[:shared])
    target = places[:-1] + sizes[shared + depth :]
    if blocks == 1:
        x = reshape(b, site.sub("data"), x, sizes[shared:])
        indices = reshape(b, site.sub("places"), indices, places[shared:])
    elif shared:
        runs = math.prod(places[shared:-1])
        numbers = np.arange(blocks, dtype=np.float32).reshape(blocks, 1, 1).repeat(runs, 1)
        x = reshape(b, site.sub("data"), x, [blocks, *sizes[shared:]])
        indices = reshape(b, site.sub("places"), indices, [blocks, runs, depth])
        block = materialize(b, site.sub("block"), Const(numbers), 4)
        indices = join(b, site.sub("in_block"), [block, indices], 3)
    inner = b.node("gather_nd", site.sub("picked") if shared else site, [x.tensor, indices.tensor])
    return reshape(b, site, inner, target)


def gather(b: GraphBuilder, site: Site, x: Act, indices: Act, axis: int) -> Act:
    """Elements of the graph's axis at computed indices; as many axes come in its place as ``indices`` has."""
    sizes, places = sizes_of(b, x), sizes_of(b, indices)
    front, behind = sizes[: axis - 1], sizes[axis:]
    moved = math.prod(front) > 1
    if moved:
        perm = [0, axis, *range(1, axis), *range(axis + 1, len(sizes) + 1)]
        x = transpose(b, site.sub("transposed"), x, perm)
    else:
        x = reshape(b, site.sub("data"), x, sizes[axis - 1 :])
    indices = reshape(b, site.sub("places"), indices, [*places, 1])
    picked = b.node("gather_nd", site.sub("picked"), [x.tensor, indices.tensor])
    if not moved:
        return reshape(b, site, picked, [*front, *places, *behind])
    count, rank = len(places), 1 + len(places) + len(sizes) - 1
    first = [1 + count + i for i in range(len(front))]
    order = [0, *first, *range(1, 1 + count), *range(1 + count + len(front), rank)]
    return transpose(b, site, picked, order)


def nms(
    b: GraphBuilder, site: Site, boxes: Act, scores: Act, count: int, iou: float, least: float, center: bool
) -> Act:
    """Rows [b, class, box] of the boxes (N, B, n, 4) that are kept; how many, the scores (N, B, C, n) say."""
    boxes, scores = (
        whole(b, site.sub("boxes"), boxes, 0.0),
        whole(b, site.sub("scores"), scores, -LARGEST),
    )
    attrs = {"count": count, "iou_threshold": iou, "score_threshold": least, "center": center}
    rows = b.node("nms", site.sub("rows"), [boxes.tensor, scores.tensor], attrs)
    return _what_is_there(b, site, rows, 1, 2)


def nonzero(b: GraphBuilder, site: Site, x: Act) -> Act:
    """The places of what is not zero, a column each."""
    x = whole(b, site.sub("whole"), x, 0.0)
    return _what_is_there(b, site, b.node("nonzero", site.sub("columns"), [x.tensor]), 2, 1)


def _what_is_there(b: GraphBuilder, site: Site, x: Act, axis: int, across: int) -> Act:
    """``x`` as a partial tensor whose valid elements end before the first element of ``axis`` that is -1."""
    line = slice_axis(b, site.sub("line"), x, across, 0, 1)
    there = binary(b, site.sub("there"), "greater", line, Const(np.full((1,), -0.5, np.float32)))
    attrs = {"kind": "sum", "axes": [axis], "keepdims": False}
    count = b.node("reduce", site.sub("count"), [there.tensor], attrs)
    return b.node("first", site, [x.tensor, count.tensor], {"axis": axis})
