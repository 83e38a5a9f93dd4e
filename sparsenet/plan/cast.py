"""Stages between float32 and bytes, at the borders of what runs in integers (see ``graph.integer``).

A map in bytes is rows of *quads*, four channels of a pixel each; any other tensor in bytes is plain.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import QUAD, U8, U8X4
from sparsenet.plan.layout import Flattened, Plain, Rows
from sparsenet.plan.relayout import map_needs, map_source
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.registry import Kernel
from sparsenet.targets.target import Target


@dataclass(eq=False)
class MapCast(Stage):
    """Makes a map in quads of one in float32, or of bytes in C order, or the other way round.

    Attributes:
        source: the map: quads as rows, float32 as rows or plain, or plain bytes.
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
        return blocks if self._makes_quads else self._of_quads(blocks)

    @property
    def _makes_quads(self) -> bool:
        return self.out.layout.vector.element is U8X4

    def _of_quads(self, blocks: Span) -> Span:
        return QUAD * blocks[0], min(QUAD * blocks[1], self.shape[0])

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        x, x_row, x_channel = map_source(to, self.source, first)
        out, out_row, out_channel = map_source(to, self.out, first)
        begin, end = self._of_quads(blocks)
        whole_lines = isinstance(self.out.layout, Rows) and not isinstance(self.out.layout, Flattened)
        columns = self.out.rows.line if whole_lines else self.shape[2]
        kernel = self._kernel(columns)
        x_first, out_first = (begin, blocks[0]) if self._makes_quads else (blocks[0], begin)
        numbers = {"x_columns": self.shape[2], "scale": float(self.grid.scale), "zero": self.grid.zero_point}
        to.call(
            kernel, x=x + x_first * x_channel, x_row=x_row, x_channel=x_channel, channels=end - begin,
            rows=last - first, columns=columns, out=out + out_first * out_channel, out_row=out_row,
            out_channel=out_channel, **{name: n for name, n in numbers.items() if name in kernel.arguments},
        )  # fmt: skip

    def _kernel(self, columns: int) -> Kernel:
        source, made = self.source.layout.vector, self.out.layout.vector
        if made.element is U8:  # as many bytes as quads are read at once
            return made._replace(lanes=source.fitting(columns).lanes).kernel("bytes_none_any")
        vector = made.fitting(columns)
        if vector.element.is_float:
            return vector.kernel("dequantize_none_any")
        if source.element is U8:
            return vector.kernel("quads_none_any")
        return vector.kernel("quantize_none_any", (self.target.dot,))


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
