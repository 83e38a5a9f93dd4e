"""Convolutions: depthwise, dense or sparse over rows; a map of one pixel is a matrix-vector product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import attributes, split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.lower.epilogues import Epilogue, epilogue_of
from sparsenet.plan.lower.linear import lower_matrix
from sparsenet.plan.pack import csr_stream, dense_blocks
from sparsenet.plan.select import choose_format, conv_break_even, dense_tile, pixel_tile, sparse_tile
from sparsenet.plan.stage import Emitter, Need, Ref, Span, Stage
from sparsenet.plan.window import Geometry, Window, geometry, open_window

#: Column strides that the depthwise kernel reads without a copy split by phase.
DEPTHWISE_IN_PLACE_STRIDE = 2


@dataclass(eq=False)
class ConvRows(Stage):
    """A convolution over rows.

    Attributes:
        kernel: of the usual tile; a shorter one is used for fewer rows than that has.
        fixed: arguments that are the same in every call.
        per_channel: arguments to advance by output channel, and by how many bytes.
        lot_channels: output channels of a lot.
        split_input: bytes by which the input advances per output channel (depthwise), a fraction (channels, bytes).
    """

    window: Window
    kernel: Kernel
    epilogue: Epilogue
    channels: int
    fixed: dict[str, int | Ref]
    per_channel: dict[str, tuple[Ref, int]]
    lot_channels: int
    input_step: tuple[int, int] = (1, 0)

    def needs(self, first: int, last: int) -> list[Need]:
        return [self.window.needs(first, last), *self.epilogue.needs(first, last)]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
        begin = lots[0] * self.lot_channels
        end = min(lots[1] * self.lot_channels, self.channels)
        rows = self.kernel.parameter("rows")
        kernel = self.kernel if last - first >= rows else self.kernel.with_parameter("rows", last - first)
        multiplier, step = self.input_step
        to.call(
            kernel,
            x=self.window.at(to, first) + begin // multiplier * step,
            x_row=self.window.out_row,
            c_out=end - begin,
            height=last - first,
            out=to.row(self.out, first) + begin * self.out.rows.channel_bytes,
            **self.fixed,
            **{name: start + begin * step for name, (start, step) in self.per_channel.items()},
            **self.epilogue.arguments(to, first, begin),
        )


def lower_conv2d(builder: Builder, node: Node) -> None:
    """Choose the kind of convolution and add its stage."""
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


def _depthwise(builder: Builder, node: Node, weight: FloatArray, bias: FloatArray, geo: Geometry) -> None:
    x = node.inputs[0]
    c_out, taps = weight.shape[0], geo.kernel[0] * geo.kernel[1]
    window = open_window(builder, x, geo, DEPTHWISE_IN_PLACE_STRIDE)
    epilogue = epilogue_of(builder, node, True)
    out = builder.new_rows(node.output)
    tile = pixel_tile(out.rows, 4)
    kernel = Kernel(
        "f32_depthwise_dense_rows",
        out.rows.lanes,
        (window.column_step, taps, tile.rows, tile.vectors),
        epilogue.words,
    )
    multiplier = c_out // builder.shape(x)[0]
    macs = c_out * taps * geo.out[0] * geo.out[1]
    reason = "depthwise weights are too few for indices to pay"
    builder.decide(
        node, "dense", kernel, reason, macs=macs, nnz=int(np.count_nonzero(weight)), weights=weight.size
    )
    fixed = {
        "tap_offsets": builder.constant(window.taps(1).reshape(-1).astype(np.int32)),
        "multiplier": multiplier,
        "x_channel": window.channel,
        **builder.lines(out.rows),
    }
    per_channel = {
        "weights": (builder.constant(weight.reshape(c_out, taps)), taps * 4),
        "bias": (builder.constant(bias), 4),
    }
    builder.add(
        ConvRows(
            node.name, out, geo.out[0], window, kernel, epilogue, c_out, fixed, per_channel, multiplier,
            (multiplier, window.channel), band=tile.rows, lots=c_out // multiplier, weight_bytes=weight.nbytes,
        )
    )  # fmt: skip


def _convolution(
    builder: Builder, node: Node, weight: FloatArray, bias: FloatArray, geo: Geometry, groups: int
) -> None:
    c_out, group_in = weight.shape[:2]
    window = open_window(builder, node.inputs[0], geo)
    epilogue = epilogue_of(builder, node, True)
    out = builder.new_rows(node.output)
    matrix = np.ascontiguousarray(weight.reshape(c_out, -1))
    taps = window.taps(group_in).reshape(-1)
    nnz = int(np.count_nonzero(matrix))
    tile = sparse_tile(out.rows, group_in)
    tile_bytes = group_in * (geo.kernel[0] + tile.rows - 1) * tile.vectors * out.rows.lanes * 4
    limit, note = conv_break_even(geo.kernel[0] * geo.kernel[1], tile_bytes)
    sparse, reason = choose_format(builder.options.kernels, nnz / matrix.size, limit, note)
    counts = {"macs": matrix.size * geo.out[0] * geo.out[1], "nnz": nnz, "weights": matrix.size}
    fixed = builder.lines(out.rows)
    per_channel = {"bias": (builder.constant(bias), 4)}
    if sparse:
        kernel = Kernel("f32_conv_csr_rows", out.rows.lanes, (tile.rows, tile.vectors), epilogue.words)
        group_of_row = np.arange(c_out) // (c_out // groups)
        offsets = taps if groups == 1 else taps[None, :] + (group_of_row * group_in * window.channel)[:, None]
        row_offsets, stream = csr_stream(matrix, offsets)
        builder.decide(node, "csr", kernel, reason, **counts)
        fixed["stream"] = builder.constant(stream)
        per_channel["row_offsets"] = (builder.constant(row_offsets), 4)
        rows, lot, lots, nbytes = tile.rows, 1, c_out, stream.nbytes
    else:
        outputs, dense = dense_tile(out.rows, c_out // groups)
        kernel = Kernel(
            "f32_conv_dense_rows", out.rows.lanes, (outputs, dense.rows, dense.vectors), epilogue.words
        )
        builder.decide(node, "dense", kernel, reason, **counts)
        blocks = dense_blocks(matrix, outputs, groups)
        fixed |= {
            "tap_offsets": builder.constant(taps.astype(np.int32)), "taps": taps.size, "groups": groups,
            "x_group": group_in * window.channel,
        }  # fmt: skip
        weights, nbytes, rows = builder.constant(blocks), blocks.nbytes, dense.rows
        # Blocks of channels can be told apart by address where the last one does not overlap the one before.
        even = groups == 1 and c_out % outputs == 0
        lot, lots = (outputs, c_out // outputs) if even else (c_out, 1)
        per_channel["weights"] = (weights, taps.size * 4)
    builder.add(
        ConvRows(
            node.name, out, geo.out[0], window, kernel, epilogue, c_out, fixed, per_channel, lot,
            band=rows, lots=lots, weight_bytes=nbytes,
        )
    )  # fmt: skip


LOWER = {"conv2d": lower_conv2d}
