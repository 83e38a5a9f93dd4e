"""Ops that choose by value: the largest numbers, elements by computed index, boxes, what is not zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Plain
from sparsenet.plan.lowering.axes import AxisSplit, merge_axes
from sparsenet.plan.lowering.picks import Picks
from sparsenet.plan.ref import Word
from sparsenet.plan.stage import Value
from sparsenet.targets.cpu.lower.plain_call import PlainCall, along_axis, plain_call, stride_tables
from sparsenet.targets.cpu.lower.reshape import lower_identity
from sparsenet.targets.registry import BROADCAST_OPERATIONS


def lower_top_k(builder: Builder, node: Node) -> None:
    """Find the largest numbers along an axis with a heap for each line."""
    attrs = attributes(node)
    arguments = along_axis(builder, node.inputs[0], attrs["axis"]) | {
        "count": attrs["count"],
        "sign": 1.0 if attrs["largest"] else -1.0,
        "least": -math.inf,
    }
    kernel = builder.kernel("topk_none_flat", (0,))
    plain_call(builder, node, kernel, {"x": node.inputs[0]}, arguments)


def _pick(
    builder: Builder, node: Node, sizes: Sequence[int], strides: Sequence[int], arguments: dict[str, int]
) -> None:
    tables: dict[str, Word] = {"sizes": builder.table(sizes), "strides": builder.table(strides)}
    sources = dict(zip(("x", "indices"), node.inputs, strict=True))
    kernel = builder.kernel("pick_none_flat")
    plain_call(builder, node, kernel, sources, {"depth": len(sizes), **arguments, **tables})


def lower_gather_elements(builder: Builder, node: Node) -> None:
    """Gather elements along one axis, by one index for each element of the result."""
    axis = attributes(node)["axis"]
    split, out = (AxisSplit.of(builder.shape(name), axis) for name in (node.inputs[0], node.output))
    arguments = {
        "blocks": split.outer, "rows": out.size * out.inner, "inner": 1, "x_block": split.size * split.inner,
        "columns": split.inner,
    }  # fmt: skip
    _pick(builder, node, [split.size], [split.inner], arguments)


def lower_gather_nd(builder: Builder, node: Node) -> None:
    """Gather runs of elements, by several indices for each run of the result."""
    picks = Picks.of(*(builder.shape(name) for name in node.inputs))
    arguments = {"blocks": 1, "rows": picks.runs, "inner": picks.inner, "x_block": 0, "columns": 1}
    _pick(builder, node, picks.sizes, picks.strides, arguments)


def lower_nms(builder: Builder, node: Node) -> None:
    """Sort the boxes of each class that score enough; then keep those among them that overlap no better one."""
    attrs, (boxes, scores) = attributes(node), node.inputs
    groups, classes, size = builder.image_shape(scores)
    order = f"{node.output}//order"
    builder.shapes[order] = builder.shapes[scores]
    sort = builder.kernel("topk_none_flat", (1,))
    arguments = along_axis(builder, scores, 3) | {
        "count": size, "sign": 1.0, "least": attrs["score_threshold"],
    }  # fmt: skip
    sources = {"x": builder.plain(scores)}
    builder.add(PlainCall(node.name, builder.new_plain(order), 1, sources, sort, arguments))
    arguments = {
        "groups": groups, "classes": classes, "size": size, "count": min(attrs["count"], size),
        "rows": builder.image_shape(node.output)[0], "center": int(attrs["center"]),
        "limit": attrs["iou_threshold"],
    }  # fmt: skip
    kernel = builder.kernel("nms_none_flat")
    plain_call(builder, node, kernel, {"boxes": boxes, "order": order}, arguments)


def lower_nonzero(builder: Builder, node: Node) -> None:
    """Find the elements that are not zero, in one pass."""
    shape = builder.image_shape(node.inputs[0])
    arguments: dict[str, Word] = {
        "rank": len(shape),
        "shape": builder.table(shape),
        "size": prod(shape),
    }
    plain_call(builder, node, builder.kernel("nonzero_none_flat"), {"x": node.inputs[0]}, arguments)


def lower_fill(builder: Builder, node: Node) -> None:
    """Fill a tensor beyond its dynamic length: find the places below the count by comparison, then choose."""
    (x, count), attrs = node.inputs, attributes(node)
    split = AxisSplit.of(builder.shape(node.output), attrs["axis"])
    size, inner = split.size, split.inner
    places, value = (
        Value(
            f"{node.output}//{name}", Plain(builder.vector, numbers.shape), builder.padded_constant(numbers)
        )
        for name, numbers in (
            ("places", np.arange(size, dtype=np.float32)),
            ("value", np.full(1, attrs["value"], np.float32)),
        )
    )
    there = Value(f"{node.output}//there", Plain(builder.vector, (size,)))
    below = builder.kernel("broadcast_none_flat", (BROADCAST_OPERATIONS.index("less"),))
    sources = {"x": places, "y": builder.plain(count)}
    arguments = stride_tables(builder, sources, [size], [[1], [0]])
    builder.add(PlainCall(node.name, there, 1, sources, below, arguments))
    sizes, steps = merge_axes([split.outer, size, inner], [0, 1, 0], [size * inner, inner, 1], [0, 0, 0])
    kernel = builder.kernel("where_none_flat")
    builder.decide(node, "none", kernel, "places compared with the count, then a choice")
    sources = {"condition": there, "x": builder.plain(x), "y": value}
    arguments = stride_tables(builder, sources, sizes, steps)
    builder.add(PlainCall(node.name, builder.new_plain(node.output), 1, sources, kernel, arguments))


LOWER = {
    "top_k": lower_top_k,
    "gather_elements": lower_gather_elements,
    "gather_nd": lower_gather_nd,
    "nms": lower_nms,
    "nonzero": lower_nonzero,
    "fill": lower_fill,
    "first": lower_identity,  # its count goes to the caller, who cuts the outputs
}
