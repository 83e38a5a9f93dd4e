"""Max, average and global average pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.types import F32
from sparsenet.plan.builder import Builder, Halo
from sparsenet.plan.layout import Flattened, Rows
from sparsenet.plan.lowering.geometry import Geometry, reciprocals
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.plan.window import Window, open_window
from sparsenet.targets.cpu.lower.epilogues import Epilogue, epilogue_of
from sparsenet.targets.lane_masks import lane_masks
from sparsenet.targets.registry import Kernel

#: Widest max-pooling window whose columns are unrolled.
MOST_COLUMNS = 5


#: The most vectors of a line that are computed together.
MOST_VECTORS = 4


def _vectors(line_vectors: int) -> int:
    """Vectors to compute together, so that as few tiles as can be overlap as little as can be."""
    return -(-line_vectors // -(-line_vectors // MOST_VECTORS))


def _in_place_stride(geo: Geometry) -> int:
    """Windows up to 17 columns wide stay within the guard that every buffer has; wider ones read a padded copy."""
    return 2 if (geo.kernel[1] - 1) * geo.dilation[1] <= 16 else 0


@dataclass(eq=False)
class MaxPool(Stage):
    """A stage of max pooling, its windows clipped to the image: by column in the kernel, by row here.

    ``first_valid`` and ``end_valid`` bound the rows of ``window.value`` that are image rows.
    """

    window: Window
    kernel: Kernel
    epilogue: Epilogue
    first_valid: int
    end_valid: int
    fixed: dict[str, Word]

    def _taps(self, y: int) -> Span:
        """The rows of the window of output row ``y`` that lie in the image."""
        start, step = y * self.window.row_step + self.window.first_row, self.window.row_dilation
        first = max(0, -((start - self.first_valid) // step))
        return first, min(self.window.rows, -((start - self.end_valid) // step))

    def needs(self, first: int, last: int) -> list[Need]:
        _, low, high = self.window.needs(first, last)
        return [
            (self.window.value, max(low, self.first_valid), min(high, self.end_valid)),
            *self.epilogue.needs(first, last),
        ]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        y = first
        while y < last:  # rows with the same taps in one call: all but those at the border
            taps, end = self._taps(y), y + 1
            while end < last and self._taps(end) == taps:
                end += 1
            self._call(to, y, end, taps, blocks)
            y = end

    def _call(self, to: Emitter, first: int, last: int, taps: Span, blocks: Span) -> None:
        row = first * self.window.row_step + self.window.first_row + taps[0] * self.window.row_dilation
        x = to.row(self.window.value, row) + self.window.start
        to.call(
            self.kernel, x=x + blocks[0] * self.window.channel, n_taps_y=taps[1] - taps[0],
            channels=blocks[1] - blocks[0], height=last - first,
            out=to.row(self.out, first) + blocks[0] * self.out.rows.channel_bytes,
            **self.fixed, **self.epilogue.arguments(to, first, blocks[0]),
        )  # fmt: skip


def lower_max_pool2d(builder: Builder, node: Node) -> None:
    """Lower max pooling; a table masks columns outside the image."""
    geo = Geometry.of(node, builder.shapes)
    window = open_window(builder, node.inputs[0], geo, _in_place_stride(geo))
    epilogue = epilogue_of(builder, node, True)
    out = builder.new_rows(node.output, row_by_row=True)
    layout = out.rows
    # In place, image rows are numbered from 0; a stride-to-depth copy begins ``before`` rows above the image, or, for
    # windows of one row, holds just the rows that are read.
    if window.value is builder.get(node.inputs[0], Rows):
        first_valid, end_valid = 0, geo.size[0]
    elif geo.kernel[0] == 1:
        first_valid, end_valid = _single_rows(geo)
    else:
        first_valid, end_valid = geo.before[0], geo.before[0] + geo.size[0]
    adjacent = window.column_step == geo.stride[1] and geo.dilation[1] == 1 and geo.kernel[1] <= MOST_COLUMNS
    columns, before = (geo.kernel[1], geo.before[1]) if adjacent else (0, 0)
    # Several vectors at once share their neighbours; where windows share nothing, one is half as fast again.
    vectors = 1 if adjacent and columns + before <= geo.stride[1] else _vectors(layout.line_vectors)
    tile = (window.column_step, columns, before, vectors)
    kernel = layout.kernel("maxpool_none_rows", tile, epilogue.ops)
    bits = _columns_inside(geo, layout)
    whole = np.flatnonzero((bits == layout.lane_bits()).all(axis=0))
    fixed: dict[str, Word] = {
        "taps_x": builder.constant(np.asarray(window.columns, np.int32)), "tap_bits": builder.constant(bits),
        "n_taps_x": geo.kernel[1], "tap_row": geo.dilation[0] * window.row,
        "inner_first": int(whole[0]) if whole.size else 0, "inner_end": int(whole[-1]) + 1 if whole.size else 0,
        "x_row": window.out_row, "x_channel": window.channel, "outside": out.zero, **builder.lines(layout),
    }  # fmt: skip
    builder.decide(node, "none", kernel)
    builder.add(
        MaxPool(
            node.name, out, geo.out[0], window, kernel, epilogue, first_valid, end_valid, fixed,
            channel_blocks=layout.channels,
        )
    )  # fmt: skip


def _columns_inside(geo: Geometry, layout: Rows) -> npt.NDArray[Any]:
    """Per window column and vector of a line, the lanes whose pixel exists and reads inside the image."""
    lanes = np.arange(layout.line_vectors * layout.lanes)
    taps = np.arange(geo.kernel[1])[:, None] * geo.dilation[1]
    source = lanes * geo.stride[1] - geo.before[1] + taps
    inside = (source >= 0) & (source < geo.size[1]) & (lanes < layout.width)
    return lane_masks(inside.reshape(geo.kernel[1], -1, layout.lanes))


def _single_rows(geo: Geometry) -> Span:
    """Output rows of a window of one row whose source row is in the image."""
    return -(-geo.before[0] // geo.stride[0]), -(-(geo.before[0] + geo.size[0]) // geo.stride[0])


@dataclass(eq=False)
class AvgPool(Stage):
    """A stage of average pooling: sums over windows, scaled by row and column."""

    window: Window
    kernel: Kernel
    scale_y: Ref
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [self.window.needs(first, last)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        to.call(
            self.kernel, x=self.window.at(to, first) + blocks[0] * self.window.channel,
            scale_y=self.scale_y + first * F32.itemsize, channels=blocks[1] - blocks[0], height=last - first,
            out=to.row(self.out, first) + blocks[0] * self.out.rows.channel_bytes, **self.fixed,
        )  # fmt: skip


def _avg_halo(_graph: Graph, shapes: Mapping[str, Shape], node: Node) -> Halo:
    """The halo of the input that windows need to read it in place; max pooling masks pixels outside instead."""
    geo = Geometry.of(node, shapes)
    return geo.halo if geo.stride[1] == 1 else (0, 0, 0)


def lower_avg_pool2d(builder: Builder, node: Node) -> None:
    """Lower average pooling."""
    geo = Geometry.of(node, builder.shapes)
    window = open_window(builder, node.inputs[0], geo)
    out = builder.new_rows(node.output, row_by_row=True)
    layout = out.rows
    kernel = layout.kernel("avgpool_none_rows", (_vectors(layout.line_vectors),))
    fixed: dict[str, Word] = {
        "tap_offsets": builder.constant(window.taps(1).reshape(-1).astype(np.int32)),
        "taps": geo.kernel[0] * geo.kernel[1], "scale_x": builder.padded_constant(reciprocals(node, geo, 1)),
        "x_row": window.out_row, "x_channel": window.channel, **builder.lines(layout),
    }  # fmt: skip
    scale_y = builder.padded_constant(reciprocals(node, geo, 0))
    builder.decide(node, "none", kernel)
    builder.add(
        AvgPool(node.name, out, geo.out[0], window, kernel, scale_y, fixed, channel_blocks=layout.channels)
    )


@dataclass(eq=False)
class GlobalAvgPool(Stage):
    """A stage that averages each channel to one number, summed up as rows arrive."""

    source: Value
    kernel: Kernel

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, first, last)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        layout = self.source.rows
        scale = 1 / (layout.height * layout.width)
        layout = layout.as_line() if isinstance(layout, Flattened) else layout
        to.call(
            self.kernel, x=to.row(self.source, first) + blocks[0] * layout.channel_bytes, x_row=layout.row_bytes,
            x_channel=layout.channel_bytes, channels=blocks[1] - blocks[0], height=last - first,
            line_vectors=layout.line_vectors, scale=scale,
            accumulate=int(to.begun(self)), out=to.whole(self.out) + blocks[0] * self.out.layout.itemsize,
        )  # fmt: skip


def lower_global_avg_pool2d(builder: Builder, node: Node) -> None:
    """Lower global average pooling; the units of its stage are rows of the input."""
    source, out = builder.rows(node.inputs[0]), builder.new_plain(node.output)
    layout = source.rows.as_line() if isinstance(source.rows, Flattened) else source.rows
    kernel = layout.kernel("globalavgpool_none_rows", (min(8, layout.lanes),))
    builder.decide(node, "none", kernel)
    builder.add(
        GlobalAvgPool(
            node.name, out, layout.height, source, kernel, channel_blocks=layout.channels, sums_units=True
        )
    )


LOWER = {
    "max_pool2d": lower_max_pool2d,
    "avg_pool2d": lower_avg_pool2d,
    "global_avg_pool2d": lower_global_avg_pool2d,
}
HALOS = {"avg_pool2d": _avg_halo}
