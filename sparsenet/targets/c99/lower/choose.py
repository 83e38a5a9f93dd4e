"""Ops that choose by value: the largest numbers, elements by computed index, boxes, what is not zero."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.plan.lowering.picks import Picks
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.lower import reshape
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value


def _add(
    builder: Builder, node: Node, family: str, known: Mapping[str, Word], scratch: Value | None = None
) -> None:
    reads = [Read(builder.flat(name), whole=True) for name in node.inputs]
    kernel, out = Kernel(family), builder.new_flat(node.output)
    builder.add(out, kernel, reads, known, units=1, by_rows=False, scratch=scratch)
    builder.choose(node, "none", kernel)


def lower_top_k(builder: Builder, node: Node) -> None:
    """The largest numbers along an axis, in order."""
    attrs = attributes(node)
    split = AxisSplit.of(builder.shape(node.inputs[0]), attrs["axis"])
    known = {**split._asdict(), "count": attrs["count"], "sign": 1.0 if attrs["largest"] else -1.0}
    _add(builder, node, "f32_topk_none_flat", known)


def lower_gather_elements(builder: Builder, node: Node) -> None:
    """One index for each element of the result."""
    axis = attributes(node)["axis"]
    x, out = (AxisSplit.of(builder.shape(name), axis) for name in (node.inputs[0], node.output))
    known: dict[str, Word] = {
        "sizes": builder.table([x.size]),
        "strides": builder.table([x.inner]),
        "depth": 1,
        "runs": out.outer * out.size * out.inner,
        "inner": 1,
        "block_runs": out.size * out.inner,
        "block": x.size * x.inner,
        "columns": x.inner,
    }
    _add(builder, node, "f32_index_none_flat", known)


def lower_gather_nd(builder: Builder, node: Node) -> None:
    """Several indices for each run of the result."""
    picks = Picks.of(*(builder.shape(name) for name in node.inputs))
    known: dict[str, Word] = {
        "sizes": builder.table(picks.sizes),
        "strides": builder.table(picks.strides),
        "depth": len(picks.sizes),
        "runs": picks.runs,
        "inner": picks.inner,
        "block_runs": picks.runs,
        "block": 0,
        "columns": 1,
    }
    _add(builder, node, "f32_index_none_flat", known)


def lower_nms(builder: Builder, node: Node) -> None:
    """Class by class; the boxes of one that score enough are sorted in scratch memory."""
    attrs = attributes(node)
    groups, classes, size = builder.image_shape(node.inputs[1])
    known: dict[str, Word] = {
        "groups": groups,
        "classes": classes,
        "size": size,
        "count": min(attrs["count"], size),
        "rows": builder.image_shape(node.output)[0],
        "center": int(attrs["center"]),
        "least": float(attrs["score_threshold"]),
        "limit": float(attrs["iou_threshold"]),
    }
    _add(builder, node, "f32_nms_none_flat", known, Value(f"{node.output} (order)", (1, 1, size), flat=True))


def lower_nonzero(builder: Builder, node: Node) -> None:
    """The places of the elements that are not zero."""
    shape = builder.image_shape(node.inputs[0])
    known: dict[str, Word] = {"shape": builder.table(shape), "rank": len(shape), "size": prod(shape)}
    _add(builder, node, "f32_nonzero_none_flat", known)


def lower_fill(builder: Builder, node: Node) -> None:
    """What follows the first elements of an axis."""
    attrs = attributes(node)
    split = AxisSplit.of(builder.shape(node.output), attrs["axis"])
    _add(builder, node, "f32_fill_none_flat", {**split._asdict(), "value": float(attrs["value"])})


def lower_first(builder: Builder, node: Node) -> None:
    """All of it: how much is valid goes to the caller."""
    reshape.lower(builder, node)


LOWER = {
    "top_k": lower_top_k,
    "gather_elements": lower_gather_elements,
    "gather_nd": lower_gather_nd,
    "nms": lower_nms,
    "nonzero": lower_nonzero,
    "fill": lower_fill,
    "first": lower_first,
}
