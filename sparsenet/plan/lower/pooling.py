"""Max, average and global average pooling."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Rows
from sparsenet.plan.window import Geometry, geometry, open_window


def _geometry(builder: Builder, node: Node) -> Geometry:
    return geometry(
        node, attributes(node)["kernel"], builder.shape(node.inputs[0])[1:], builder.shape(node.output)[1:]
    )


def _vectors(line_vectors: int) -> int:
    return min(4, line_vectors)


def _in_place_stride(geo: Geometry) -> int:
    """Windows up to 17 columns wide stay within the guard that every buffer has; wider ones read a padded copy."""
    return 2 if (geo.kernel[1] - 1) * geo.dilation[1] <= 16 else 0


def lower_max_pool2d(builder: Builder, node: Node) -> None:
    """Windows clipped to the image: by row in the kernel, by column through a table of valid output columns."""
    geo = _geometry(builder, node)
    window = open_window(builder, node.inputs[0], geo, _in_place_stride(geo))
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    table = []
    for kx, offset in enumerate(window.columns):
        # Output column x reads source column x * stride + kx * dilation - before, valid in [0, W).
        shift = geo.before[1] - kx * geo.dilation[1]
        first_column, end = -(-shift // geo.stride[1]), -(-(shift + geo.size[1]) // geo.stride[1])
        table.append((offset, first_column, end))
    # Image row 0 is ``before`` rows into the window; but a single-row window may own a copy of just its rows.
    first, stride_y, padding_y, x_rows = (
        window.first + geo.before[0] * window.row,
        geo.stride[0],
        geo.before[0],
        geo.size[0],
    )
    if window.out_row == window.row and geo.stride[0] > 1:
        first, stride_y, padding_y, x_rows = window.first, 1, 0, geo.out[0]
    kernel = Kernel(
        "f32_maxpool_none_rows", layout.lanes, (window.column_step, _vectors(layout.line_vectors))
    )
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=first, taps_x=builder.constant(np.asarray(table, np.int32)), n_taps_x=geo.kernel[1],
        n_taps_y=geo.kernel[0], dilation_y=geo.dilation[0], stride_y=stride_y, padding_y=padding_y, x_rows=x_rows,
        x_row=window.row, x_channel=window.channel, channels=layout.channels, height=geo.out[0], width=layout.width,
        line_vectors=layout.line_vectors, halo_vectors=layout.halo_vectors,
        out=place.first, out_row=layout.row_bytes, out_channel=layout.channel_bytes,
    )  # fmt: skip


def _reciprocals(node: Node, geo: Geometry, axis: int) -> FloatArray:
    """1 / values counted per window along one axis: image values, or with the padding that the node counts."""
    attrs = attributes(node)
    after = attrs["padding"][2 + axis]
    counts = []
    for i in range(geo.out[axis]):
        start = i * geo.stride[axis] - geo.before[axis]
        end = start + geo.kernel[axis]
        if attrs["count_include_pad"]:
            counts.append(min(end, geo.size[axis] + after) - start)
        else:
            counts.append(min(end, geo.size[axis]) - max(start, 0))
    return (1.0 / np.asarray(counts, np.float64)).astype(np.float32)


def lower_avg_pool2d(builder: Builder, node: Node) -> None:
    """Sums over windows, scaled by row and column."""
    geo = _geometry(builder, node)
    window = open_window(builder, node.inputs[0], geo)
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    kernel = Kernel("f32_avgpool_none_rows", layout.lanes, (_vectors(layout.line_vectors),))
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=window.first,
        tap_offsets=builder.constant(window.taps(1, geo.kernel[0]).reshape(-1).astype(np.int32)),
        taps=geo.kernel[0] * geo.kernel[1], scale_y=builder.padded_constant(_reciprocals(node, geo, 0)),
        scale_x=builder.padded_constant(_reciprocals(node, geo, 1)), x_row=window.out_row, x_channel=window.channel,
        channels=layout.channels, **builder.lines(layout, geo.out[0]), out=place.first, out_row=layout.row_bytes,
        out_channel=layout.channel_bytes,
    )  # fmt: skip


def lower_global_avg_pool2d(builder: Builder, node: Node) -> None:
    """One number per channel."""
    source = builder.rows(node.inputs[0])
    layout = source.layout
    assert isinstance(layout, Rows)
    place = builder.new_plain(node.output)
    vectors = max(v for v in range(1, 5) if layout.line_vectors % v == 0)
    kernel = Kernel("f32_globalavgpool_none_rows", layout.lanes, (vectors,))
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=source.first, x_row=layout.row_bytes, x_channel=layout.channel_bytes, channels=layout.channels,
        height=layout.height, width=layout.width, line_vectors=layout.line_vectors, out=place.first,
    )  # fmt: skip


LOWER = {
    "max_pool2d": lower_max_pool2d,
    "avg_pool2d": lower_avg_pool2d,
    "global_avg_pool2d": lower_global_avg_pool2d,
}
