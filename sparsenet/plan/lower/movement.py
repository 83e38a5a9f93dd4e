"""Ops that only move data: concat, flatten, reshape, transpose, pad, resize, identity."""

from __future__ import annotations

from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.kernels.abi import encode_float
from sparsenet.kernels.jit import max_lanes
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes
from sparsenet.plan.builder import Builder, Place
from sparsenet.plan.layout import Plain, Rows, round_up
from sparsenet.plan.lower.activations import is_map
from sparsenet.plan.resize_tables import resize_axis


def lower_concat(builder: Builder, node: Node) -> None:
    """Each operand copied to its part of the result."""
    axis = attributes(node)["axis"] - 1
    kernel = Kernel("f32_relayout_none_any", max_lanes(), (1,))
    builder.decide(node, "none", kernel, "each operand copied into its part of the result")
    if axis == 0 and is_map(builder, node.output):
        _concat_channels(builder, node)
        return
    places = [builder.plain(name) for name in node.inputs]
    shape = builder.shape(node.output)
    out = builder.new_plain(node.output)
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    start = 0
    for name, place in zip(node.inputs, places, strict=True):
        width = builder.shape(name)[axis] * inner
        builder.relayout(
            place.first, width * 4, 0, (1, outer, width), out.first + start * 4, shape[axis] * inner * 4, 0,
            columns=width,
        )  # fmt: skip
        start += width


def _concat_channels(builder: Builder, node: Node) -> None:
    sources = [builder.source(name) for name in node.inputs]
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    channel = 0
    for name, (first, x_row, x_channel) in zip(node.inputs, sources, strict=True):
        shape = builder.shape(name)
        builder.relayout(
            first, x_row, x_channel, shape, place.first + channel * layout.channel_bytes,
            layout.row_bytes, layout.channel_bytes, columns=layout.line,
        )  # fmt: skip
        channel += shape[0]


def lower_alias(builder: Builder, node: Node) -> None:
    """Flatten and reshape: C order seen under another shape."""
    place = builder.plain(node.inputs[0])
    builder.set_place(node.output, Place(Plain(builder.shape(node.output)), place.first))


def lower_identity(builder: Builder, node: Node) -> None:
    """The same place under another name, unless a reader needs a halo."""
    place = builder.rows(node.inputs[0]) if is_map(builder, node.inputs[0]) else builder.plain(node.inputs[0])
    if builder.halos.get(node.output, (0, 0, 0)) == (0, 0, 0):
        builder.set_place(node.output, place)
        return
    layout = place.layout
    out = builder.new_rows(node.output)
    assert isinstance(layout, Rows)
    assert isinstance(out.layout, Rows)
    builder.relayout(
        place.first, layout.row_bytes, layout.channel_bytes, builder.shape(node.output), out.first,
        out.layout.row_bytes, out.layout.channel_bytes, columns=out.layout.line,
    )  # fmt: skip


def lower_transpose(builder: Builder, node: Node) -> None:
    """Any permutation, in C order."""
    source, out = builder.plain(node.inputs[0]), builder.new_plain(node.output)
    shape, perm = builder.shape(node.inputs[0]), [p - 1 for p in attributes(node)["perm"][1:]]
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    kernel = Kernel("f32_permute_none_flat", max_lanes())
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=source.first, rank=len(shape),
        shape=builder.constant(np.asarray([shape[p] for p in perm], np.int32)),
        strides=builder.constant(np.asarray([strides[p] for p in perm], np.int32)), out=out.first,
    )  # fmt: skip


def lower_pad(builder: Builder, node: Node) -> None:
    """Fill with the value, then copy the map in."""
    attrs = attributes(node)
    top, left, _, _ = attrs["padding"]
    first, x_row, x_channel = builder.source(node.inputs[0])
    shape = builder.shape(node.inputs[0])
    channels, height, width = builder.shape(node.output)
    out = builder.new_plain(node.output)
    fill = Kernel("f32_fill_none_any", max_lanes())
    builder.emit(fill, value=encode_float(attrs["value"]), size=channels * height * width, out=out.first)
    builder.relayout(
        first, x_row, x_channel, shape, out.first + (top * width + left) * 4, width * 4, height * width * 4,
        columns=shape[2],
    )  # fmt: skip
    builder.decide(node, "none", fill, "filled with the value, then the map copied in")


def lower_resize(builder: Builder, node: Node) -> None:
    """Nearest or bilinear, by tables."""
    attrs = attributes(node)
    source = builder.rows(node.inputs[0])
    place = builder.new_rows(node.output)
    inside, layout = source.layout, place.layout
    assert isinstance(inside, Rows)
    assert isinstance(layout, Rows)
    rows = resize_axis(inside.height, layout.height, attrs["mode"], attrs["coordinates"])
    columns = resize_axis(inside.width, layout.width, attrs["mode"], attrs["coordinates"])
    padded = round_up(layout.width, 16)
    kernel = Kernel("f32_resize_none_rows", layout.lanes)
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=source.first, x_row=inside.row_bytes, x_channel=inside.channel_bytes,
        rows_low=builder.constant(rows.low), rows_high=builder.constant(rows.high),
        rows_weight=builder.constant(rows.weight),
        columns_low=builder.constant(np.pad(columns.low * 4, (0, padded - layout.width))),
        columns_high=builder.constant(np.pad(columns.high * 4, (0, padded - layout.width))),
        columns_weight=builder.constant(np.pad(columns.weight, (0, padded - layout.width))),
        channels=layout.channels, height=layout.height, width=layout.width, line_vectors=layout.line_vectors,
        halo_vectors=layout.halo_vectors, out=place.first, out_row=layout.row_bytes, out_channel=layout.channel_bytes,
    )  # fmt: skip


LOWER = {
    "concat": lower_concat,
    "flatten": lower_alias,
    "reshape": lower_alias,
    "identity": lower_identity,
    "dropout": lower_identity,
    "transpose": lower_transpose,
    "pad": lower_pad,
    "resize": lower_resize,
}
