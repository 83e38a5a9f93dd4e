"""Averages in integers, of maps in quads of bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened
from sparsenet.plan.lowering.geometry import Geometry, window_counts
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.plan.window import Window, open_window
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class QuadAverages(Stage):
    """A stage of average pooling.

    Attributes:
        counted: of every output row, how many rows its windows count.
        factors: by that number, where the factor of every column is.
    """

    window: Window
    kernel: Kernel
    counted: list[int]
    factors: dict[int, Ref]
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [self.window.needs(first, last)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        y = first
        while y < last:  # rows with the same factors in one call
            rows, end = self.counted[y], y + 1
            while end < last and self.counted[end] == rows:
                end += 1
            to.call(
                self.kernel, x=self.window.at(to, y) + blocks[0] * self.window.channel, scale=self.factors[rows],
                channels=blocks[1] - blocks[0], height=end - y,
                out=to.row(self.out, y) + blocks[0] * self.out.rows.channel_bytes, **self.fixed,
            )  # fmt: skip
            y = end


def lower_avg_pool2d(builder: Builder, node: Node) -> None:
    """Add the stage of an average pooling."""
    geo, grids = Geometry.of(node, builder.shapes), builder.graph.quantization
    x, made = grids[node.inputs[0]], grids[node.output]
    window = open_window(builder, node.inputs[0], geo)
    out = builder.new_rows(node.output, row_by_row=True)
    layout, taps = out.rows, geo.kernel[0] * geo.kernel[1]
    kernel = layout.kernel("avgpool_none_rows", (builder.target.dot,))
    rows, columns = (window_counts(node, geo, axis).astype(np.float64) for axis in (0, 1))
    factors = {
        int(count): builder.padded_constant(
            (np.float64(x.scale) / (np.float64(made.scale) * (count * columns))).astype(np.float32)
        )
        for count in np.unique(rows)
    }
    fixed: dict[str, Word] = {
        "tap_offsets": builder.constant(window.taps(1).reshape(-1).astype(np.int32)), "taps": taps,
        "less": taps * x.zero_point, "zero": made.zero_point,
        "x_row": window.out_row, "x_channel": window.channel, **builder.lines(layout),
    }  # fmt: skip
    builder.decide(node, "none", kernel)
    builder.add(
        QuadAverages(
            node.name, out, geo.out[0], window, kernel, rows.astype(int).tolist(), factors, fixed,
            channel_blocks=layout.channels,
        )
    )  # fmt: skip


@dataclass(eq=False)
class QuadGlobalAverage(Stage):
    """A stage that averages each channel of a whole map to one byte."""

    source: Value
    kernel: Kernel
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, 0, self.source.rows.height if self.source.by_rows else 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        x_channel = self.source.rows.channel_bytes
        to.call(
            self.kernel, x=to.row(self.source, 0) + blocks[0] * x_channel, x_row=self.source.rows.row_bytes,
            x_channel=x_channel, channels=blocks[1] - blocks[0],
            out=to.whole(self.out) + blocks[0] * QUAD, **self.fixed,
        )  # fmt: skip


def lower_global_avg_pool2d(builder: Builder, node: Node) -> None:
    """Add the stage of a global average pooling: bytes cannot be summed up as rows arrive, so it is one unit."""
    x, made = (builder.graph.quantization[name] for name in (node.inputs[0], node.output))
    source, out = builder.rows(node.inputs[0]), builder.new_plain(node.output)
    layout = source.rows.as_line() if isinstance(source.rows, Flattened) else source.rows
    pixels = float(source.rows.height * source.rows.width)
    kernel = layout.kernel("globalavgpool_none_rows")
    fixed: dict[str, Word] = {
        "height": layout.height, "line_vectors": layout.line_vectors,
        "less": x.zero_point * layout.height * layout.line_vectors * layout.lanes,
        "scale": float(np.float32(np.float64(x.scale) / (np.float64(made.scale) * pixels))),
        "zero": made.zero_point,
    }  # fmt: skip
    builder.decide(node, "none", kernel)
    builder.add(QuadGlobalAverage(node.name, out, 1, source, kernel, fixed, channel_blocks=layout.channels))


LOWER = {"avg_pool2d": lower_avg_pool2d, "global_avg_pool2d": lower_global_avg_pool2d}
