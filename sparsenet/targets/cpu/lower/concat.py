"""Concatenation of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.plan.relayout import copy_map, map_needs, map_source, relayout
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value


@dataclass(eq=False)
class ConcatChannels(Stage):
    """A stage that concatenates maps along the channels."""

    sources: list[tuple[Value, tuple[int, int, int]]]

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(value, first, last) for value, _ in self.sources]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        channel = 0
        for value, shape in self.sources:
            x, x_row, x_channel = map_source(to, value, first)
            copy_map(to, x, x_row, x_channel, (shape[0], last - first, shape[2]), self.out, first, channel)
            channel += shape[0]


@dataclass(eq=False)
class ConcatPlain(Stage):
    """A stage that concatenates plain tensors: ``outer`` runs of each operand's ``widths`` floats."""

    sources: list[Value]
    outer: int
    widths: list[int]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(value, 0, 1) for value in self.sources]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        layout, start, total = self.out.layout, 0, sum(self.widths)
        for value, width in zip(self.sources, self.widths, strict=True):
            out = to.whole(self.out) + start * layout.itemsize
            relayout(
                to, layout.vector, to.whole(value), width * layout.itemsize, 0, (1, self.outer, width), out,
                total * layout.itemsize, 0, columns=width,
            )  # fmt: skip
            start += width


def lower_concat(builder: Builder, node: Node) -> None:
    """Copy each operand to its part of the result."""
    axis = attributes(node)["axis"]
    if axis == 1 and builder.is_map(node.output) and builder.moves_in_rows(node):
        sources = [(builder.any(name), builder.map_shape(name)) for name in node.inputs]
        out = builder.new_rows(node.output)
        _decide(builder, node, out)
        builder.add(ConcatChannels(node.name, out, out.rows.height, sources))
        return
    values = [builder.bounded(name) for name in node.inputs]
    split = AxisSplit.of(builder.shape(node.output), axis)
    widths = [builder.shape(name)[axis] * split.inner for name in node.inputs]
    out = builder.new_plain(node.output)
    _decide(builder, node, out)
    builder.add(ConcatPlain(node.name, out, 1, values, split.outer, widths, exact=True))


def _decide(builder: Builder, node: Node, out: Value) -> None:
    kernel = out.layout.vector.kernel("relayout_none_any", (1,))
    builder.decide(node, "none", kernel, "each operand copied into its part of the result")


LOWER = {"concat": lower_concat}
