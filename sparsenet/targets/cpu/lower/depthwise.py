"""Depthwise convolutions."""

from __future__ import annotations

import numpy as np

from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Rows
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.plan.lowering.weights import as_matrix, nonzeros
from sparsenet.plan.ref import Word
from sparsenet.plan.window import Window, open_window
from sparsenet.targets.cpu.lower.conv_rows import ConvRows
from sparsenet.targets.cpu.lower.epilogues import epilogue_of
from sparsenet.targets.cpu.lower.select import pixel_tile, window_tile
from sparsenet.targets.target import Target

#: Column strides that the kernel reads without a stride-to-depth copy.
IN_PLACE_STRIDE = 2
#: Widest window whose columns are cut out of registers.
MOST_ADJACENT_COLUMNS = 7


def lower_depthwise(builder: Builder, conv: Convolution) -> None:
    """Add the stage of a depthwise convolution, which convolves every channel by itself."""
    node, x, weight, geo = conv.node, conv.x, conv.weight, conv.geometry
    c_out, taps = weight.shape[0], geo.kernel[0] * geo.kernel[1]
    window = open_window(builder, x, geo, IN_PLACE_STRIDE)
    epilogue = epilogue_of(builder, node, True)
    as_line = window.flattens_with(geo, builder.pitches.get(geo.out, 0))
    out = builder.new_rows(node.output, row_by_row=not as_line)
    lines = out.rows.as_line() if as_line and isinstance(out.rows, Flattened) else out.rows
    tile = _tile(builder.target, lines, geo, window, as_line)
    kernel = lines.kernel("depthwise_dense_rows", tile, epilogue.ops)
    multiplier = c_out // builder.image_shape(x)[0]
    reason = "depthwise weights are too few for indices to pay"
    builder.decide(node, "dense", kernel, reason, **conv.counts(builder.once(nonzeros, weight)))
    fixed: dict[str, Word] = {
        "tap_offsets": builder.constant(window.taps(1).reshape(-1).astype(np.int32)),
        "multiplier": multiplier,
        "x_channel": window.channel,
        **builder.lines(lines),
    }
    per_channel = {
        "weights": (builder.constant(builder.once(as_matrix, weight)), taps * weight.itemsize),
        "bias": (builder.constant(conv.bias), conv.bias.itemsize),
    }
    builder.add(
        ConvRows(
            node.name, out, lines.height, window, kernel, epilogue, c_out, multiplier, fixed, per_channel,
            (multiplier, window.channel), row_block=kernel.parameter("rows"), channel_blocks=c_out // multiplier,
            as_line=as_line, channelwise=True, weight_bytes=weight.nbytes,
        )
    )  # fmt: skip


def _tile(target: Target, layout: Rows, geo: Geometry, window: Window, as_line: bool) -> tuple[int, ...]:
    """The tile parameters of the kernel; see ``cpu/kernels/depthwise.py``."""
    stride, columns, taps = window.column_step, geo.kernel[1], geo.kernel[0] * geo.kernel[1]
    if geo.dilation != (1, 1) or geo.stride != (stride, stride) or columns > MOST_ADJACENT_COLUMNS:
        tile = pixel_tile(layout, 4)
        return stride, taps, 0, 0, 0, tile.rows, tile.vectors
    tile = window_tile(target, layout, geo.kernel, stride)
    whole_line = tile.vectors == layout.line_vectors and geo.size[1] <= tile.vectors * layout.lanes * stride
    whole_line = whole_line and not as_line
    return stride, taps, columns, geo.before[1], int(whole_line), tile.rows, tile.vectors
