"""Ops that take elements to other places: axes reordered, picked from, repeated, mirrored, padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import contiguous_strides, merge_axes
from sparsenet.plan.lowering.places import REARRANGE, Places, evenly_spaced, joined, places_of, rearranged
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.strided import MOST_AXES
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value

#: Axes of a table of places.
_TABLES = 4


def fits_rows(_graph: Graph, _shapes: dict[str, Shape], node: Node) -> bool:
    """Whether it is done row by row: a constant border is."""
    return node.op == "pad" and attributes(node)["mode"] == "constant"


def lower(builder: Builder, node: Node) -> None:
    """A border row by row; all else in C order, along strides where every axis is evenly spaced, else by tables."""
    if fits_rows(builder.graph, builder.shapes, node):
        _pad(builder, node)
        return
    shape = builder.shape(node.inputs[0])
    places = rearranged(node, places_of(shape, contiguous_strides(shape)), builder.shape(node.output))
    kernel = take(builder, builder.new_flat(node.output), builder.flat(node.inputs[0]), places)
    builder.choose(node, "none", kernel)


def take(builder: Builder, out: Value, x: Value, places: Sequence[Places]) -> Kernel:
    """Add the stage that takes the numbers of ``x``, in C order, from sums of the places of each axis of the result."""
    even = evenly_spaced(places)
    known: dict[str, Word]
    if even is not None:
        start, strides = even
        sizes, (steps,) = merge_axes([len(axis) for axis in places], strides)
        if len(sizes) > MOST_AXES:
            raise NoKernelError(f"it moves numbers along {len(sizes)} axes, the most are {MOST_AXES}")
        kernel = Kernel("f32_pick_none_flat")
        known = {
            "sizes": builder.table(sizes),
            "p_strides": builder.table(steps),
            "axes": len(sizes),
            "start": start,
        }
    else:
        kernel, known = Kernel("f32_take_none_flat"), _tables(builder, places)
    builder.add(out, kernel, [Read(x, whole=True)], known, units=1, by_rows=False)
    return kernel


def _tables(builder: Builder, places: Sequence[Places]) -> dict[str, Word]:
    axes = [axis for axis in places if len(axis) > 1 or axis[0]]
    while len(axes) > _TABLES:
        axes = [joined(axes[:2]), *axes[2:]]
    axes = [np.zeros(1, np.int64)] * (_TABLES - len(axes)) + axes
    known: dict[str, Word] = {f"places_{k}": builder.table(axis) for k, axis in enumerate(axes)}
    return known | {f"size_{k}": len(axis) for k, axis in enumerate(axes)}


def _pad(builder: Builder, node: Node) -> None:
    x, out = builder.any(node.inputs[0]), builder.new(node.output)
    attrs = attributes(node)
    top, left, _, _ = attrs["padding"]
    kernel = Kernel("f32_pad_none_rows")
    known: dict[str, Word] = {
        "before": left,
        "x_width": x.width,
        "value": float(attrs["value"]),
        "channels": out.shape[0],
        "width": out.width,
        "x_channel": x.channel,
        "out_channel": out.channel,
    }
    builder.add(out, kernel, [Read(x, first=-top)], known)
    builder.choose(node, "none", kernel)


LOWER = dict.fromkeys(REARRANGE, lower)
