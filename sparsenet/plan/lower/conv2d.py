"""Convolutions: depthwise, dense or sparse over rows; a map of one pixel is a matrix-vector product."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes, split_inputs
from sparsenet.plan.builder import Builder, Ref
from sparsenet.plan.layout import Rows
from sparsenet.plan.lower.epilogues import rows_arguments, words
from sparsenet.plan.lower.linear import lower_matrix
from sparsenet.plan.pack import csr_stream, dense_blocks
from sparsenet.plan.select import choose_format, conv_break_even, dense_tile, pixel_tile
from sparsenet.plan.window import Geometry, Window, geometry, open_window

#: Column strides that the depthwise kernel reads without a copy split by phase.
DEPTHWISE_IN_PLACE_STRIDE = 2


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose the kind of convolution and write its steps."""
    own, _ = split_inputs(node)
    weight = builder.graph.constants[own[1]]
    channels, *size = builder.shape(own[0])
    groups = attributes(node)["groups"]
    geo = geometry(node, weight.shape[2:], size, builder.shape(node.output)[1:])
    bias = builder.graph.constants[own[2]] if own[2] else np.zeros(weight.shape[0], np.float32)
    if geo.out == (1, 1) and groups == 1:
        lower_matrix(builder, node, _one_pixel_matrix(weight, geo, channels), bias, own[0])
    elif weight.shape[1] == 1 and groups > 1:
        _depthwise(builder, node, weight, bias, geo)
    else:
        _convolution(builder, node, weight, bias, geo, groups)


def _one_pixel_matrix(weight: FloatArray, geo: Geometry, channels: int) -> FloatArray:
    """The (C_out, C_in * H * W) matrix of a convolution whose output is one pixel; taps in the padding drop out."""
    matrix = np.zeros((weight.shape[0], channels, *geo.size), np.float32)
    for ky in range(geo.kernel[0]):
        for kx in range(geo.kernel[1]):
            y, x = ky * geo.dilation[0] - geo.before[0], kx * geo.dilation[1] - geo.before[1]
            if 0 <= y < geo.size[0] and 0 <= x < geo.size[1]:
                matrix[:, :, y, x] = weight[:, :, ky, kx]
    return matrix.reshape(weight.shape[0], -1)


def _geometry_arguments(
    builder: Builder, layout: Rows, out: Ref, window: Window, height: int
) -> dict[str, int | Ref]:
    return {
        **builder.lines(layout, height), "x_row": window.out_row,
        "out": out, "out_row": layout.row_bytes, "out_channel": layout.channel_bytes,
    }  # fmt: skip


def _depthwise(builder: Builder, node: Node, weight: FloatArray, bias: FloatArray, geo: Geometry) -> None:
    x = node.inputs[0]
    c_out, taps = weight.shape[0], geo.kernel[0] * geo.kernel[1]
    window = open_window(builder, x, geo, DEPTHWISE_IN_PLACE_STRIDE)
    epilogue = rows_arguments(builder, node)
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    tile = pixel_tile(layout, 4)
    kernel = Kernel(
        "f32_depthwise_dense_rows",
        layout.lanes,
        (window.column_step, taps, tile.rows, tile.vectors),
        words(node),
    )
    macs = c_out * taps * geo.out[0] * geo.out[1]
    reason = "depthwise weights are too few for indices to pay"
    builder.decide(
        node, "dense", kernel, reason, macs=macs, nnz=int(np.count_nonzero(weight)), weights=weight.size
    )
    builder.emit(
        kernel,
        x=window.first,
        tap_offsets=builder.constant(window.taps(1, geo.kernel[0]).reshape(-1).astype(np.int32)),
        weights=builder.constant(weight.reshape(c_out, taps)),
        bias=builder.constant(bias),
        multiplier=c_out // builder.shape(x)[0],
        x_channel=window.channel,
        c_out=c_out,
        **_geometry_arguments(builder, layout, place.first, window, geo.out[0]),
        **epilogue,
    )


def _convolution(
    builder: Builder, node: Node, weight: FloatArray, bias: FloatArray, geo: Geometry, groups: int
) -> None:
    x = node.inputs[0]
    c_out, group_in = weight.shape[:2]
    window = open_window(builder, x, geo)
    epilogue = rows_arguments(builder, node)
    place = builder.new_rows(node.output)
    layout = place.layout
    assert isinstance(layout, Rows)
    matrix = np.ascontiguousarray(weight.reshape(c_out, -1))
    taps = window.taps(group_in, geo.kernel[0]).reshape(-1)
    nnz = int(np.count_nonzero(matrix))
    common = _geometry_arguments(builder, layout, place.first, window, geo.out[0])
    common |= {"bias": builder.constant(bias), "c_out": c_out, "x": window.first}
    tile = _sparse_tile(layout, group_in)
    tile_bytes = group_in * (geo.kernel[0] + tile.rows - 1) * tile.vectors * layout.lanes * 4
    limit, note = conv_break_even(geo.kernel[0] * geo.kernel[1], tile_bytes)
    sparse, reason = choose_format(builder.options.kernels, nnz / matrix.size, limit, note)
    counts = {"macs": matrix.size * geo.out[0] * geo.out[1], "nnz": nnz, "weights": matrix.size}
    if sparse:
        kernel = Kernel("f32_conv_csr_rows", layout.lanes, (tile.rows, tile.vectors), words(node))
        group_of_row = np.arange(c_out) // (c_out // groups)
        offsets = taps if groups == 1 else taps[None, :] + (group_of_row * group_in * window.channel)[:, None]
        row_offsets, stream = csr_stream(matrix, offsets)
        builder.decide(node, "csr", kernel, reason, **counts)
        builder.emit(
            kernel,
            row_offsets=builder.constant(row_offsets),
            stream=builder.constant(stream),
            **common,
            **epilogue,
        )
        return
    outputs, dense = dense_tile(layout, c_out // groups)
    kernel = Kernel("f32_conv_dense_rows", layout.lanes, (outputs, dense.rows, dense.vectors), words(node))
    builder.decide(
        node,
        "dense",
        kernel,
        reason,
        **counts,
    )
    builder.emit(
        kernel,
        tap_offsets=builder.constant(taps.astype(np.int32)),
        weights=builder.constant(dense_blocks(matrix, outputs, groups)),
        taps=taps.size,
        groups=groups,
        x_group=group_in * window.channel,
        **common,
        **epilogue,
    )


def _sparse_tile(layout: Rows, c_in: int):  # type: ignore[no-untyped-def]
    # Wide inputs leave L1 with many vectors per tile; narrow ones profit from more sums in flight.
    return pixel_tile(layout, 8 if c_in <= 64 else 7 if layout.line_vectors == 1 else 4)


LOWER = {"conv2d": lower_conv2d}
