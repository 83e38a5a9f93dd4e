"""Ops that take elements to other places: axes reordered, picked from, repeated, mirrored, padded."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.places import REARRANGE, Places, evenly_spaced, places_of, rearranged
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides, in_a_row
from sparsenet.targets.cuda.lower.relayout import RELAYOUT, TAKE, copy_into, take


def lower_rearrange(builder: Builder, node: Node) -> None:
    """Lower a rearrangement along strides where every axis is evenly spaced and kernels have enough axes, else by
    tables of places.
    """
    x = builder.get(node.inputs[0])
    places = rearranged(node, places_of(x.shape, axis_strides(x)), builder.shape(node.output))
    _move(builder, node, x, places)


def _move(builder: Builder, node: Node, x: Value, places: Sequence[Places]) -> None:
    out, even = builder.new_maps(node.output), evenly_spaced(places)
    if even is None:
        take(builder, x, places, out)
        builder.decide(node, "none", builder.kernel(TAKE), "copied by tables of places")
        return
    start, strides = even
    if not in_a_row(out.shape, strides):
        take(builder, x, places, out)
        axes = f"{len(out.shape)} axes in another order"
        builder.decide(node, "none", builder.kernel(TAKE), f"copied by tables of places: {axes}")
        return
    copy_into(builder, x, four_strides(out.shape, strides), out, start=start)
    builder.decide(node, "none", builder.kernel(RELAYOUT), "copied into place")


def lower_pad(builder: Builder, node: Node) -> None:
    """Lower padding with a constant, or with rows and columns of the image itself."""
    attrs = attributes(node)
    if attrs["mode"] != "constant":
        lower_rearrange(builder, node)
        return
    x, out = builder.get(node.inputs[0]), builder.new_maps(node.output)
    top, left, _, _ = attrs["padding"]
    strides, size = four_strides(x.shape, axis_strides(x)), (x.maps.height, x.maps.width)
    copy_into(builder, x, strides, out, first=(-top, -left), size=size, fill=attrs["value"])
    builder.decide(node, "none", builder.kernel(RELAYOUT), "copied, its border filled")


LOWER = {**dict.fromkeys(REARRANGE, lower_rearrange), "pad": lower_pad}
