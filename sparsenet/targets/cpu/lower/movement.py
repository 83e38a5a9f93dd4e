"""Ops that take elements to other places: axes reordered, picked from, repeated, mirrored, padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.graph.types import QUAD
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Plain, Rows
from sparsenet.plan.lowering.axes import contiguous_strides
from sparsenet.plan.lowering.places import Places, evenly_spaced, places_of, rearranged
from sparsenet.plan.ref import Word
from sparsenet.plan.relayout import (
    FILL,
    fill,
    fill_rows,
    map_needs,
    map_source,
    relayout,
    relayout_kernel,
)
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.cpu.lower import blocks, transposes
from sparsenet.targets.cpu.lower.plain_call import plain_call
from sparsenet.targets.cpu.lower.transposes import pick_evenly


def lower_rearrange(builder: Builder, node: Node) -> None:
    """Lower a rearrangement in C order: along strides where every axis is evenly spaced, else by tables of places."""
    shape = builder.shape(node.inputs[0])
    places = rearranged(node, places_of(shape, contiguous_strides(shape)), builder.shape(node.output))
    even = evenly_spaced(places)
    if even is None:
        _take(builder, node, places)
    else:
        start, strides = even
        pick_evenly(builder, node, strides, start)


def _take(builder: Builder, node: Node, places: Sequence[Places]) -> None:
    offsets = (axis.tolist() for axis in places)
    used = [axis for axis in offsets if len(axis) > 1 or axis[0]] or [[0]]
    last = used[-1]
    runs = last == list(range(last[0], last[0] + len(last)))
    filler = [0] * (-len(last) % builder.vector.lanes)
    arguments: dict[str, Word] = {
        "rank": len(used), "shape": builder.table([len(axis) for axis in used]),
        "tables": builder.table([*(offset for axis in used for offset in axis), *filler]),
    }  # fmt: skip
    kernel = builder.kernel("take_none_flat", (int(runs),))
    plain_call(builder, node, kernel, {"x": node.inputs[0]}, arguments)


@dataclass(eq=False)
class MapSlice(Stage):
    """A stage that copies evenly spaced channels, rows and columns of a map: every ``step``-th from ``first`` on.

    Rows and columns outside of the map stand for 0.
    """

    source: Value
    shape: tuple[int, ...]
    first: list[int]
    step: list[int]

    def _row(self, row: int) -> int:
        return self.first[1] + row * self.step[1]

    def _read(self, first: int, last: int) -> Span:
        """The map's rows between those that these rows are made of."""
        ends = self._row(first), self._row(last - 1)
        return max(0, min(ends)), min(self.shape[1], max(ends) + 1)

    def needs(self, first: int, last: int) -> list[Need]:
        begin, end = self._read(first, last)
        return [map_needs(self.source, begin, end)] if begin < end else []

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        begin, end = self._read(first, last)
        if begin >= end:
            fill_rows(to, self.out, first, last)
            return
        x, x_row, x_channel = map_source(to, self.source, begin)
        out, out_row, out_channel = map_source(to, self.out, first)
        _, height, width = self.shape
        columns = self.out.rows.width if isinstance(self.out.layout, Flattened) else self.out.rows.line
        first_column, column_step = self.first[2], self.step[2]
        # Zeros follow the last valid column, not what the source has there.
        end = min(width, first_column + (self.out.rows.width - 1) * column_step + 1)
        relayout(
            to, self.out.layout.vector, x + self.first[0] * x_channel, x_row, x_channel * self.step[0],
            (self.out.rows.channels, height - begin, end), out, out_row, out_channel, columns=columns,
            rows=last - first, first_row=self._row(first) - begin, row_step=self.step[1],
            first_column=first_column, column_step=column_step, outside=self.out.zero,
        )  # fmt: skip


def lower_slice(builder: Builder, node: Node) -> None:
    """Lower a slice: consecutive channels, and any part of rows, row by row; anything else in C order."""
    x, attrs = node.inputs[0], attributes(node)
    axis, step = attrs["axis"] - 1, attrs["step"]
    by_rows = builder.is_map(x) and builder.is_map(node.output)
    by_rows = by_rows and (builder.in_bytes or builder.get(x, Rows) is not None)
    channels = axis == 0 and step == 1 and builder.is_map(x) and builder.moves_in_rows(node)
    if channels or (by_rows and (axis < 2 or step > 0)):
        source, out = builder.any(x), builder.new_rows(node.output)
        first, steps = [0, 0, 0], [1, 1, 1]
        first[axis], steps[axis] = attrs["start"] // (QUAD if builder.in_bytes and axis == 0 else 1), step
        kernel = relayout_kernel(builder.vector, out.rows.line, steps[2])
        builder.decide(node, "none", kernel, f"a run of {('channels', 'rows', 'columns')[axis]}")
        builder.add(MapSlice(node.name, out, out.rows.height, source, builder.map_shape(x), first, steps))
        return
    lower_rearrange(builder, node)


@dataclass(eq=False)
class Pad(Stage):
    """A stage that fills its output with the padding value, then copies the map into it."""

    source: Value
    shape: tuple[int, ...]
    top: int
    left: int
    value: float

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, 0, self.shape[1])]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
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
    """Lower padding in C order: with a constant, or with pixels of the image itself; of quads by rows."""
    attrs, x = attributes(node), node.inputs[0]
    top, left, _, _ = attrs["padding"]
    if attrs["mode"] != "constant":
        lower_rearrange(builder, node)
        return
    if builder.in_bytes and builder.is_map(node.output):
        source, out = builder.rows(x), builder.new_rows(node.output)
        kernel = relayout_kernel(builder.vector, out.rows.line)
        builder.decide(node, "none", kernel, "lines copied, padded")
        first, step = [0, -top, -left], [1, 1, 1]
        builder.add(MapSlice(node.name, out, out.rows.height, source, builder.map_shape(x), first, step))
        return
    source, out = builder.any(x), builder.new_plain(node.output)
    builder.decide(node, "none", builder.kernel(FILL), "filled with the value, then the map copied in")
    value = builder.graph.quantization[node.output].zero_point if builder.in_bytes else attrs["value"]
    builder.add(Pad(node.name, out, 1, source, builder.image_shape(x), top, left, value, exact=True))


LOWER = {
    **transposes.LOWER,
    **blocks.LOWER,
    **dict.fromkeys(["gather", "expand"], lower_rearrange),
    "slice": lower_slice,
    "pad": lower_pad,
}
