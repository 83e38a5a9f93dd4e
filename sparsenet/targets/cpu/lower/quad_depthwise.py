"""Depthwise convolutions in integers, over maps in quads of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph.integer import Product
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Rows
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.geometry import Geometry
from sparsenet.plan.ref import Word
from sparsenet.plan.window import Window, open_window
from sparsenet.targets.cpu.lower.conv_rows import ConvRows
from sparsenet.targets.cpu.lower.depthwise import IN_PLACE_STRIDE
from sparsenet.targets.cpu.lower.pack_quads import bias_at, whole_quads, window_quads
from sparsenet.targets.cpu.lower.quad_epilogue import bounds, clip_of, fixed_point, fused
from sparsenet.targets.family import CLIP_ANY, Dot


def lower_depthwise(builder: Builder, conv: Convolution, product: Product) -> None:
    """Add the stage of a depthwise convolution of one output channel per input channel, which adds no other tensor."""
    node, geo = conv.node, conv.geometry
    weight = product.weights.astype(np.int8, copy=False)
    window = open_window(builder, conv.x, geo, IN_PLACE_STRIDE)
    as_line = window.flattens_with(geo, builder.pitches.get(geo.out, 0))
    out = builder.new_rows(node.output, row_by_row=not as_line)
    lines = out.rows.as_line() if as_line and isinstance(out.rows, Flattened) else out.rows
    dot = _dot(builder, window)
    clip = clip_of(product) if dot.is_arm else CLIP_ANY
    tile = (*geo.kernel, window.column_step, _rows(geo, window, lines), dot, clip)
    epilogue = fused(builder, product, over_rows=True)
    kernel = lines.kernel("depthwise_dense_rows", tile, epilogue.ops)
    reason = "depthwise weights are too few for indices to pay"
    builder.decide(node, "dense", kernel, reason, **conv.counts(int(np.count_nonzero(weight))))
    packed = builder.once(window_quads, weight)
    quads = out.rows.channels
    fixed: dict[str, Word] = {
        "column_offsets": builder.constant(np.asarray(window.columns, np.int32)),
        "tap_row": window.row_dilation * window.row, "x_channel": window.channel,
        "zero": product.rounding.zero_point,
        **builder.lines(lines),
    }  # fmt: skip
    each: dict[str, npt.NDArray[Any]] = {
        "bias": bias_at(product.bias, weight, product.x.zero_point, dot),
        "scale": product.multiplier,
    }
    each |= bounds(product, len(weight)) | {"multiplier": _multipliers(product, dot)}
    per_quad = {"weights": (builder.constant(packed), packed[0].nbytes)} | {
        name: (builder.constant(whole_quads(numbers)), QUAD * numbers.itemsize)
        for name, numbers in each.items()
    }
    builder.add(
        ConvRows(
            node.name, out, lines.height, window, kernel, epilogue, quads, 1, fixed, per_quad,
            (1, window.channel), row_block=kernel.parameter("rows"), channel_blocks=quads, as_line=as_line,
            channelwise=True, weight_bytes=packed.nbytes,
        )
    )  # fmt: skip


def _dot(builder: Builder, window: Window) -> Dot:
    """The target's instruction, unless its kernel needs columns without gaps and there are some."""
    item = window.value.layout.itemsize
    gaps = window.columns != tuple(range(0, item * len(window.columns), item))
    dot = builder.target.dot
    return Dot.PLAIN if dot.is_arm and window.column_step == 1 and gaps else dot


def _multipliers(product: Product, dot: Dot) -> npt.NDArray[np.int32]:
    """Fixed-point multipliers on AArch64, of quads of which every channel has one."""
    if not dot.is_arm:
        return np.zeros(len(product.weights), np.int32)
    own = fixed_point(product)
    quads = np.arange(len(own)) // QUAD
    missing = np.bincount(quads, own == 0) > 0
    return np.where(missing[quads], np.int32(0), own)


def _rows(geo: Geometry, window: Window, lines: Rows) -> int:
    """Rows of results that share the rows they read: measured, two for windows of three rows, four for more."""
    stride = window.column_step
    shares = geo.dilation[0] == 1 and geo.stride[0] == stride and geo.kernel[0] > stride
    most = 1 if not shares else 4 if geo.kernel[0] > 3 and stride == 1 else 2
    return min(most, lines.height)
