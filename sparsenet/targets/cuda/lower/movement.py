"""Ops that keep elements in their order, and the copies between layouts that others need."""

from __future__ import annotations

from math import prod

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.resize_tables import resize_axis
from sparsenet.targets.cuda.builder import Builder, Epilogue, Value
from sparsenet.targets.cuda.layout import Maps, map_sizes
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides
from sparsenet.targets.registry import Kernel

RELAYOUT = Kernel("f32_relayout_none_maps", 1)


def copy_into(
    builder: Builder, source: Value, strides: tuple[int, int, int, int], out: Value, *, start: int = 0,
    out_start: int = 0, shape: tuple[int, ...] | None = None, first: tuple[int, int] = (0, 0),
    size: tuple[int, int] | None = None, fill: float = 0.0,
) -> None:  # fmt: skip
    """Fill ``out``, or of a plain one the part ``shape`` from ``out_start`` on, from ``source`` along ``strides``.

    Args:
        start: floats from ``source``'s beginning to its pixel (0, 0).
        first, size: row and column of the source that output pixel (0, 0) is, and how many there are of each.
        fill: what stands beside them.
    """
    image, channel, row, column = strides
    shape = shape or out.shape
    channels, height, width = map_sizes(shape[1:])
    if out.layout is not None:
        lies = Maps(channels, height, width, shape[0], out.layout.rows, out.layout.columns)
        to, positions = [lies.image, lies.pitch, lies.line], lies.pitch
    else:
        lies = Maps(channels, height, width, shape[0])
        to, positions = list(four_strides(out.shape, axis_strides(out))[:3]), lies.images * lies.image
    builder.over_pixels(
        RELAYOUT, positions, channels, Epilogue(numbers=[fill]),
        x=source + start, x_image=image, x_channel=channel, x_row=row, x_column=column,
        first_row=first[0], first_column=first[1],
        x_height=size[0] if size else height, x_width=size[1] if size else width,
        positions=positions, channels=channels, **lies.geometry(),
        out=out + out_start, out_image=to[0], out_channel=to[1], out_row=to[2],
    )  # fmt: skip


def padded_copy(builder: Builder, x: Value, layout: Maps) -> Value:
    """``x`` in ``layout``, which has more zeros between rows and images."""
    out = builder.temporary(x.shape, layout)
    copy_into(builder, x, four_strides(x.shape, axis_strides(x)), out)
    return out


def clear_gaps(builder: Builder, out: Value) -> None:
    """Make the zeros between rows and images of ``out``, if it has any, for kernels that write pixels alone."""
    if out.layout is not None and out.layout.guard:
        copy_into(builder, out, (0, 0, 0, 0), out, size=(0, 0))


def plain(builder: Builder, x: Value) -> Value:
    """``x`` in C order."""
    if x.layout is None:
        return x
    out = builder.temporary(x.shape, None)
    copy_into(builder, x, four_strides(x.shape, axis_strides(x)), out)
    return out


def to_maps(builder: Builder, tensor: str, source: Value) -> None:
    """Make ``tensor`` from ``source``, which holds its elements in C order."""
    out = builder.new(tensor)
    seen = Value(source.name, out.shape, None)
    copy_into(builder, source, four_strides(out.shape, axis_strides(seen)), out)


def lower_identity(builder: Builder, node: Node) -> None:
    """Nothing to do."""
    builder.refer(node, builder.get(node.inputs[0]), "the same tensor")


def lower_reshape(builder: Builder, node: Node) -> None:
    """In place where every element keeps its place, else through C order."""
    x, shape = builder.get(node.inputs[0]), builder.shape(node.output)
    layout = builder.layout(shape)
    if layout == x.layout:
        builder.refer(node, _seen_as(x, shape), "the same elements in the same places")
        return
    to_maps(builder, node.output, plain(builder, x))
    builder.decide(node, "none", RELAYOUT, "copied through C order")


def _seen_as(x: Value, shape: tuple[int, ...]) -> Value:
    return Value(x.name, shape, x.layout, same_as=x)


def lower_concat(builder: Builder, node: Node) -> None:
    """Channels are copied to their place; along another axis the parts meet in C order first."""
    axis = attributes(node)["axis"]
    operands = [builder.get(name) for name in node.inputs]
    whole = builder.shape(node.output)
    out = builder.new(node.output) if axis == 1 else builder.temporary(_around(whole, axis), None)
    at = 0
    for x in operands:
        part = x if axis < 4 else _seen_as(plain(builder, x), _around(x.shape, axis))
        step = axis_strides(out)[min(axis, 3)]
        strides = four_strides(part.shape, axis_strides(part))
        copy_into(builder, part, strides, out, out_start=at * step, shape=part.shape)
        at += part.shape[min(axis, 3)]
    if axis != 1:
        to_maps(builder, node.output, out)
    builder.decide(node, "none", RELAYOUT, "each operand copied into its part of the result")


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """``shape``; of more axes than maps have, those before and behind ``axis`` as one each."""
    return shape if axis < 4 else (shape[0], 1, prod(shape[1:axis]), prod(shape[axis:]))


def lower_resize(builder: Builder, node: Node) -> None:
    """By tables of source rows and columns."""
    x, attrs = builder.get(node.inputs[0]), attributes(node)
    out = builder.new(node.output)
    kernel = Kernel("f32_resize_none_maps", 1)
    tables = {}
    for name, have, wanted in (
        ("rows", x.maps.height, out.maps.height),
        ("columns", x.maps.width, out.maps.width),
    ):
        axis = resize_axis(have, wanted, attrs["mode"], attrs["coordinates"])
        tables[f"{name}_low"] = builder.tables.add(axis.low)
        tables[f"{name}_high"] = builder.tables.add(axis.high)
        tables[f"{name}_weight"] = builder.weights.add(axis.weight)
    builder.over_pixels(
        kernel, out.maps.pitch, out.maps.channels,
        x=x, x_line=x.maps.line, x_image=x.maps.image, x_pitch=x.maps.pitch, **tables,
        channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip
    builder.decide(node, "none", kernel, attrs["mode"])


LOWER = {
    "identity": lower_identity,
    "dropout": lower_identity,
    "flatten": lower_reshape,
    "reshape": lower_reshape,
    "concat": lower_concat,
    "resize": lower_resize,
}
