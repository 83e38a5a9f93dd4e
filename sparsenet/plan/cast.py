"""Stages between float32 and bytes, at the borders of what runs in integers (see ``graph.quantization``).

A map in bytes is rows of *quads*, four channels of a pixel each; any other tensor in bytes is plain.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import QUAD
from sparsenet.plan.layout import Flattened, Plain, Rows
from sparsenet.plan.relayout import map_needs, map_source
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.target import Target


@dataclass(eq=False)
class MapCast(Stage):
    """Makes a map in quads of one in float32, or the other way round.

    Attributes:
        source: the map, as rows or, if it is float32, plain.
        grid: which byte stands for which number.
        shape: the map's (channels, height, width).
        target: what the plan is for.
    """

    source: Value
    grid: Quantization
    shape: tuple[int, ...]
    target: Target

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, first, last)]

    def channels_of(self, blocks: Span) -> Span:
        if self.out.layout.vector.element.is_float:
            return QUAD * blocks[0], min(QUAD * blocks[1], self.shape[0])
        return blocks

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        x, x_row, x_channel = map_source(to, self.source, first)
        out, out_row, out_channel = map_source(to, self.out, first)
        begin, end = QUAD * blocks[0], min(QUAD * blocks[1], self.shape[0])
        whole_lines = isinstance(self.out.layout, Rows) and not isinstance(self.out.layout, Flattened)
        columns = self.out.rows.line if whole_lines else self.shape[2]
        vector = self.out.layout.vector.fitting(columns)
        if vector.element.is_float:
            kernel, x_first, out_first = vector.kernel("dequantize_none_any"), blocks[0], begin
        else:
            kernel = vector.kernel("quantize_none_any", (self.target.dot,))
            x_first, out_first = begin, blocks[0]
        to.call(
            kernel, x=x + x_first * x_channel, x_row=x_row, x_channel=x_channel, x_columns=self.shape[2],
            channels=end - begin, rows=last - first, columns=columns, scale=float(self.grid.scale),
            zero=self.grid.zero_point, out=out + out_first * out_channel, out_row=out_row, out_channel=out_channel,
        )  # fmt: skip


@dataclass(eq=False)
class FlatCast(Stage):
    """Makes a plain tensor in bytes of one in float32, or the other way round."""

    source: Value
    grid: Quantization

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, 0, 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        layout = self.out.layout
        assert isinstance(layout, Plain)
        algorithm = "dequantize_none_flat" if layout.vector.element.is_float else "quantize_none_flat"
        to.call(
            layout.vector.kernel(algorithm), x=to.whole(self.source), size=layout.size,
            scale=float(self.grid.scale), zero=self.grid.zero_point, out=to.whole(self.out),
        )  # fmt: skip
