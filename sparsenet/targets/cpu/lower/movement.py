"""Ops that only move data: concat, flatten, reshape, slice, pad, resize, identity."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import CACHE_LINE, Folded, Plain, Rows, round_up
from sparsenet.plan.lowering.resize import resize_axis
from sparsenet.plan.relayout import (
    FILL,
    MapCopy,
    copy_map,
    fill,
    map_needs,
    map_source,
    relayout,
    relayout_kernel,
)
from sparsenet.plan.stage import Emitter, Need, Ref, Span, Stage, Value, Word
from sparsenet.targets.cpu.lower.tensors import slice_plain, take
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class ConcatChannels(Stage):
    """Maps side by side along the channels."""

    sources: list[tuple[Value, tuple[int, ...]]]

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(value, first, last) for value, _ in self.sources]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
        channel = 0
        for value, shape in self.sources:
            x, x_row, x_channel = map_source(to, value, first)
            copy_map(to, x, x_row, x_channel, (shape[0], last - first, shape[2]), self.out, first, channel)
            channel += shape[0]


@dataclass(eq=False)
class ConcatPlain(Stage):
    """Plain tensors side by side: ``outer`` runs of each operand's ``widths`` floats."""

    sources: list[Value]
    outer: int
    widths: list[int]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(value, 0, 1) for value in self.sources]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
        layout, start, total = self.out.layout, 0, sum(self.widths)
        for value, width in zip(self.sources, self.widths, strict=True):
            out = to.whole(self.out) + start * layout.itemsize
            relayout(
                to, layout.vector, to.whole(value), width * layout.itemsize, 0, (1, self.outer, width), out,
                total * layout.itemsize, 0, columns=width,
            )  # fmt: skip
            start += width


def lower_concat(builder: Builder, node: Node) -> None:
    """Each operand copied to its part of the result."""
    axis = attributes(node)["axis"] - 1
    kernel = builder.kernel("relayout_none_any", (1,))
    builder.decide(node, "none", kernel, "each operand copied into its part of the result")
    if axis == 0 and builder.is_map(node.output) and builder.moves_in_rows(node):
        sources = [(builder.any(name), builder.image_shape(name)) for name in node.inputs]
        out = builder.new_rows(node.output)
        builder.add(ConcatChannels(node.name, out, out.rows.height, sources))
        return
    values = [builder.bounded(name) for name in node.inputs]
    shape = builder.image_shape(node.output)
    inner = prod(shape[axis + 1 :])
    widths = [builder.image_shape(name)[axis] * inner for name in node.inputs]
    out = builder.new_plain(node.output)
    builder.add(ConcatPlain(node.name, out, 1, values, prod(shape[:axis]), widths, exact=True))


def lower_alias(builder: Builder, node: Node) -> None:
    """Flatten and reshape: C order seen under another shape."""
    source = builder.bounded(node.inputs[0])
    builder.put(node.output, source.view(node.output, builder.plain_layout(node.output)))


def lower_identity(builder: Builder, node: Node) -> None:
    """The same value under another name, unless a reader needs a halo."""
    x = node.inputs[0]
    if not builder.is_map(x):
        builder.put(node.output, builder.bounded(x))
        return
    source = builder.rows(x)
    if builder.halos.get(node.output, (0, 0, 0)) == (0, 0, 0):
        builder.put(node.output, source)
        return
    out = builder.new_rows(node.output)
    builder.add(MapCopy(node.name, out, out.rows.height, source, builder.image_shape(x)))


@dataclass(eq=False)
class MapSlice(Stage):
    """Evenly spaced channels, rows and columns of a map: every ``step``-th of each from ``first`` on."""

    source: Value
    shape: tuple[int, ...]
    first: list[int]
    step: list[int]

    def _row(self, row: int) -> int:
        return self.first[1] + row * self.step[1]

    def needs(self, first: int, last: int) -> list[Need]:
        ends = self._row(first), self._row(last - 1)
        return [map_needs(self.source, min(ends), max(ends) + 1)]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
        begin = min(self._row(first), self._row(last - 1))
        x, x_row, x_channel = map_source(to, self.source, begin)
        out, out_row, out_channel = map_source(to, self.out, first)
        _, height, width = self.shape
        columns = self.out.rows.width if isinstance(self.out.layout, Folded) else self.out.rows.line
        first_column, column_step = self.first[2], self.step[2]
        # Behind the last column that is meant stand zeros, not what the source has there.
        end = min(width, first_column + (self.out.rows.width - 1) * column_step + 1)
        relayout(
            to, self.out.layout.vector, x + self.first[0] * x_channel, x_row, x_channel * self.step[0],
            (self.out.rows.channels, height - begin, end), out, out_row, out_channel, columns=columns,
            rows=last - first, first_row=self._row(first) - begin, row_step=self.step[1],
            first_column=first_column, column_step=column_step,
        )  # fmt: skip


def lower_slice(builder: Builder, node: Node) -> None:
    """Channels that follow each other, and whatever is cut out of rows, row by row; anything else in C order."""
    x, attrs = node.inputs[0], attributes(node)
    axis, step = attrs["axis"] - 1, attrs["step"]
    by_rows = builder.is_map(x) and builder.is_map(node.output) and builder.get(x, Rows) is not None
    channels = axis == 0 and step == 1 and builder.is_map(x) and builder.moves_in_rows(node)
    if channels or (by_rows and (axis < 2 or step > 0)):
        source, out = builder.any(x), builder.new_rows(node.output)
        first, steps = [0, 0, 0], [1, 1, 1]
        first[axis], steps[axis] = attrs["start"], step
        kernel = relayout_kernel(builder.vector, out.rows.line, steps[2])
        builder.decide(node, "none", kernel, f"a run of {('channels', 'rows', 'columns')[axis]}")
        builder.add(MapSlice(node.name, out, out.rows.height, source, builder.image_shape(x), first, steps))
        return
    slice_plain(builder, node)


@dataclass(eq=False)
class Pad(Stage):
    """Filled with the value, then the map copied in."""

    source: Value
    shape: tuple[int, ...]
    top: int
    left: int
    value: float

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, 0, self.shape[1])]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
        assert isinstance(self.out.layout, Plain)
        layout, out = self.out.layout, to.whole(self.out)
        _, height, width = layout.shape
        item = layout.itemsize
        fill(to, layout.vector, out, layout.size * item, self.value)
        x, x_row, x_channel = map_source(to, self.source, 0)
        relayout(
            to, layout.vector, x, x_row, x_channel, self.shape, out + (self.top * width + self.left) * item,
            width * item, height * width * item, columns=self.shape[2],
        )  # fmt: skip


def lower_pad(builder: Builder, node: Node) -> None:
    """Padding in C order: with a constant, or with pixels of the image itself."""
    attrs = attributes(node)
    top, left, _, _ = attrs["padding"]
    if attrs["mode"] != "constant":
        _pad_by_table(builder, node)
        return
    source, out = builder.any(node.inputs[0]), builder.new_plain(node.output)
    builder.decide(node, "none", builder.kernel(FILL), "filled with the value, then the map copied in")
    shape = builder.image_shape(node.inputs[0])
    builder.add(Pad(node.name, out, 1, source, shape, top, left, attrs["value"], exact=True))


def _pad_by_table(builder: Builder, node: Node) -> None:
    channels, height, width = builder.image_shape(node.inputs[0])
    attrs = attributes(node)
    top, left, bottom, right = attrs["padding"]
    rows = np.pad(np.arange(height) * width, (top, bottom), mode=attrs["mode"])
    columns = np.pad(np.arange(width), (left, right), mode=attrs["mode"])
    starts = [channel * height * width for channel in range(channels)]
    take(builder, node, [starts, rows.tolist(), columns.tolist()])


@dataclass(eq=False)
class Resize(Stage):
    """Nearest or bilinear, by tables; ``low`` and ``high`` are the source rows that each output row mixes."""

    source: Value
    kernel: Kernel
    low: list[int]
    high: list[int]
    tables: dict[str, Ref]
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, min(self.low[first:last]), max(self.high[first:last]) + 1)]

    def emit(self, to: Emitter, first: int, last: int, lots: Span) -> None:
        begin = min(self.low[first:last])
        to.call(
            self.kernel, x=to.row(self.source, begin), x_first=begin, height=last - first,
            out=to.row(self.out, first), **self.fixed,
            **{name: table + first * 4 for name, table in self.tables.items()},
        )  # fmt: skip


def lower_resize(builder: Builder, node: Node) -> None:
    """Nearest or bilinear, by tables."""
    attrs = attributes(node)
    source, out = builder.rows(node.inputs[0]), builder.new_rows(node.output, row_by_row=True)
    inside, layout = source.rows, out.rows
    rows = resize_axis(inside.height, layout.height, attrs["mode"], attrs["coordinates"])
    columns = resize_axis(inside.width, layout.width, attrs["mode"], attrs["coordinates"])
    missing = round_up(layout.width, CACHE_LINE // layout.itemsize) - layout.width
    kernel = layout.kernel("resize_none_rows")
    tables = {
        "rows_low": builder.constant(rows.low),
        "rows_high": builder.constant(rows.high),
        "rows_weight": builder.constant(rows.weight),
    }
    fixed: dict[str, Word] = {
        "x_row": inside.row_bytes, "x_channel": inside.channel_bytes, "channels": layout.channels,
        "columns_low": builder.constant(np.pad(columns.low * inside.itemsize, (0, missing))),
        "columns_high": builder.constant(np.pad(columns.high * inside.itemsize, (0, missing))),
        "columns_weight": builder.constant(np.pad(columns.weight, (0, missing))),
        **builder.lines(layout),
    }  # fmt: skip
    builder.decide(node, "none", kernel)
    low, high = rows.low.tolist(), rows.high.tolist()
    builder.add(Resize(node.name, out, layout.height, source, kernel, low, high, tables, fixed))


LOWER = {
    "concat": lower_concat,
    "flatten": lower_alias,
    "reshape": lower_alias,
    "identity": lower_identity,
    "dropout": lower_identity,
    "slice": lower_slice,
    "pad": lower_pad,
    "resize": lower_resize,
}
