"""Ops that take elements to other places: axes reordered, picked from, repeated, mirrored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.targets.cuda.builder import Builder, NoKernelError, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides, in_a_row
from sparsenet.targets.cuda.lower.movement import RELAYOUT, copy_into
from sparsenet.targets.registry import Kernel

TAKE = Kernel("f32_take_none_maps", 1)
#: Of each axis of the output, where its elements stand in the input: floats, to be added over the axes.
Places = Sequence[npt.NDArray[np.int64]]
_NOWHERE = np.zeros(1, np.int64)


def places_of(x: Value) -> list[npt.NDArray[np.int64]]:
    """Where the elements of each axis of ``x`` stand."""
    return [stride * np.arange(size) for size, stride in zip(x.shape, axis_strides(x), strict=True)]


def joined(places: Places) -> npt.NDArray[np.int64]:
    """Where the elements of these axes stand, as one axis."""
    whole = _NOWHERE
    for axis in places:
        whole = np.add.outer(whole, axis).reshape(-1)
    return whole


def rearrange(builder: Builder, node: Node, x: Value, places: Places) -> None:
    """Make the node's output: along strides where the places on every axis are evenly spaced, else by tables."""
    out = builder.new(node.output)
    if any(np.ptp(np.diff(axis)) for axis in places if len(axis) > 2):
        take(builder, x, places, out)
        builder.decide(node, "none", TAKE, "copied by tables of places")
        return
    strides = [int(axis[1] - axis[0]) if len(axis) > 1 else 0 for axis in places]
    if not in_a_row(out.shape, strides):
        take(builder, x, places, out)
        builder.decide(
            node, "none", TAKE, f"copied by tables of places: {len(out.shape)} axes in another order"
        )
        return
    copy_into(builder, x, four_strides(out.shape, strides), out, start=sum(int(axis[0]) for axis in places))
    builder.decide(node, "none", RELAYOUT, "copied into place")


def take(builder: Builder, x: Value, places: Places, out: Value) -> None:
    """Fill ``out`` from the ``places`` of ``x``, by tables."""
    images, channels, *rest = places
    rows, columns = (rest[0], rest[1:]) if len(rest) > 1 else (_NOWHERE, rest)
    if x.size > np.iinfo(np.int32).max:
        raise NoKernelError(f"its input has {x.size} numbers, more than 32 bits can count")
    builder.over_pixels(
        TAKE, out.maps.pitch, out.maps.channels,
        x=x, x_image=int(images[1]) if len(images) > 1 else 0, x_channels=builder.tables.add(channels),
        x_rows=builder.tables.add(rows), x_columns=builder.tables.add(joined(columns)),
        channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip


def spread(builder: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    """``x`` with every axis that is broadcast to ``shape`` but the first repeated; a constant before the first run."""
    if x.fixed is not None:
        images = x.shape[0] if len(x.shape) == len(shape) else 1
        whole = np.ascontiguousarray(np.broadcast_to(x.fixed, (images, *shape[1:])))
        return Value(x.name, whole.shape, None, fixed=whole)
    first, *places = places_of(x)
    repeated = [repeat(axis, size) for axis, size in zip(places, shape[1:], strict=True)]
    out = builder.temporary((x.shape[0], *shape[1:]), builder.layout((x.shape[0], *shape[1:])))
    take(builder, x, [first, *repeated], out)
    return out


def repeat(places: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """The places of an axis that is broadcast to ``size``."""
    return places if len(places) == size else places.repeat(size)


def lower_transpose(builder: Builder, node: Node) -> None:
    """The axes in another order."""
    x = builder.get(node.inputs[0])
    places = places_of(x)
    rearrange(builder, node, x, [places[axis] for axis in attributes(node)["perm"]])


def lower_depth_to_space(builder: Builder, node: Node) -> None:
    """Channels to blocks of pixels; a row or column of the output adds the channels of its place in the block."""
    x, (r, s) = builder.get(node.inputs[0]), attributes(node)["block"]
    images, channels, rows, columns = places_of(x)
    depth = len(channels) // (r * s)
    if attributes(node)["depth_first"]:
        across, down, first = channels[: depth * s : depth], channels[:: depth * s], channels[:depth]
    else:
        across, down, first = channels[:s], channels[: r * s : s], channels[:: r * s]
    places = [images, first, joined([rows, down]), joined([columns, across])]
    rearrange(builder, node, x, places)


def lower_space_to_depth(builder: Builder, node: Node) -> None:
    """Blocks of pixels to channels; a channel of the output adds its place in the block."""
    x, (r, s) = builder.get(node.inputs[0]), attributes(node)["block"]
    images, channels, rows, columns = places_of(x)
    parts = [channels, rows[:r], columns[:s]]
    parts = [*parts[1:], channels] if attributes(node)["depth_first"] else parts
    rearrange(builder, node, x, [images, joined(parts), rows[::r], columns[::s]])


def lower_slice(builder: Builder, node: Node) -> None:
    """Elements of one axis, evenly spaced."""
    attrs = attributes(node)
    _picked(builder, node, attrs["axis"], attrs["start"] + attrs["step"] * np.arange(attrs["count"]))


def lower_gather(builder: Builder, node: Node) -> None:
    """Any elements of one axis."""
    attrs = attributes(node)
    _picked(builder, node, attrs["axis"], np.asarray(attrs["indices"]))


def _picked(builder: Builder, node: Node, axis: int, indices: npt.NDArray[np.int64]) -> None:
    x = builder.get(node.inputs[0])
    places = places_of(x)
    places[axis] = places[axis][indices]
    rearrange(builder, node, x, places)


def lower_expand(builder: Builder, node: Node) -> None:
    """The one element of an axis again and again."""
    x, shape = builder.get(node.inputs[0]), builder.shape(node.output)
    places = [repeat(axis, size) for axis, size in zip(places_of(x), shape, strict=True)]
    rearrange(builder, node, x, places)


def lower_pad(builder: Builder, node: Node) -> None:
    """A number beside the image, or rows and columns of it again."""
    x, attrs = builder.get(node.inputs[0]), attributes(node)
    top, left, bottom, right = attrs["padding"]
    if attrs["mode"] != "constant":
        images, channels, *sides = places_of(x)
        beside = zip(sides, ((top, bottom), (left, right)), strict=True)
        sides = [np.pad(axis, counts, mode=attrs["mode"]) for axis, counts in beside]
        rearrange(builder, node, x, [images, channels, *sides])
        return
    out = builder.new(node.output)
    strides, size = four_strides(x.shape, axis_strides(x)), (x.maps.height, x.maps.width)
    copy_into(builder, x, strides, out, first=(-top, -left), size=size, fill=attrs["value"])
    builder.decide(node, "none", RELAYOUT, "copied, its border filled")


LOWER = {
    "transpose": lower_transpose,
    "depth_to_space": lower_depth_to_space,
    "space_to_depth": lower_space_to_depth,
    "slice": lower_slice,
    "gather": lower_gather,
    "expand": lower_expand,
    "pad": lower_pad,
}
