"""Stages that move a tensor from one layout to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth, Plain, Rows, StrideToDepth
from sparsenet.plan.ref import Ref
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.registry import Kernel
from sparsenet.targets.target import Vector

FILL = "fill_none_any"
#: The most lines that a kernel joins to one, or splits one into, by whole vectors.
MOST_LINES = 8


def map_source(to: Emitter, value: Value, y: int) -> tuple[Ref, int, int]:
    """Address of row ``y`` of a map, its row stride and its channel stride, for plain maps and rows alike."""
    if isinstance(value.layout, Plain):
        _, height, width = value.layout.shape
        row = width * value.layout.itemsize
        return to.whole(value) + y * row, row, height * row
    return to.row(value, y), value.layout.row_bytes, value.layout.channel_bytes


def map_needs(value: Value, first: int, last: int) -> Need:
    """The need for rows ``first`` to ``last`` of a map; for all of it if it is plain."""
    return (value, first, last) if value.by_rows else (value, 0, 1)


def relayout_kernel(vector: Vector, columns: int, column_step: int = 1, phases: int = 1) -> Kernel:
    """The kernel that ``relayout`` calls."""
    stride = column_step if column_step <= 2 or phases == column_step <= MOST_LINES else 0
    return vector.fitting(columns).kernel("relayout_none_any", (stride,))


def relayout(
    to: Emitter, vector: Vector, x: Ref, x_row: int, x_channel: int, source: Sequence[int], out: Ref, out_row: int,
    out_channel: int, *, columns: int, rows: int | None = None, first_row: int = 0, row_step: int = 1,
    first_column: int = 0, column_step: int = 1, phases: int = 1, out_phase: int = 0, outside: int = 0,
) -> None:  # fmt: skip
    """Copy a (channels, rows, columns) source, ``outside`` where its lines end; see ``cpu/kernels/relayout.py``."""
    channels, x_rows, x_columns = source
    to.call(
        relayout_kernel(vector, columns, column_step, phases),
        x=x, x_row=x_row, x_channel=x_channel, x_rows=x_rows, x_columns=x_columns, first_row=first_row,
        row_step=row_step, first_column=first_column, phases=phases, channels=channels,
        rows=x_rows if rows is None else rows, columns=columns,
        column_step=column_step, out=out, out_row=out_row, out_channel=out_channel, out_phase=out_phase,
        outside=outside,
    )  # fmt: skip


def fill(to: Emitter, vector: Vector, out: Ref, size_bytes: int, value: float = 0.0) -> None:
    """Fill ``size_bytes`` bytes from ``out`` on with one value."""
    to.call(vector.kernel(FILL), value=value, size=size_bytes // vector.element.itemsize, out=out)


def fill_rows(to: Emitter, value: Value, first: int, last: int) -> None:
    """Fill rows ``first`` to ``last`` of a value by rows with what stands for 0."""
    layout = value.layout
    assert not isinstance(layout, Plain)
    fill(to, layout.vector, to.row(value, first), (last - first) * layout.row_bytes, value.zero)


@dataclass(eq=False)
class MapCopy(Stage):
    """Copies a map, plain or rows, to plain or rows, from ``first_channel`` of the target on."""

    source: Value
    shape: tuple[int, ...]

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, first, last)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        x, x_row, x_channel = map_source(to, self.source, first)
        copy_map(to, x, x_row, x_channel, (self.shape[0], last - first, self.shape[2]), self.out, first)


def copy_map(
    to: Emitter,
    x: Ref,
    x_row: int,
    x_channel: int,
    source: tuple[int, int, int],
    target: Value,
    y: int,
    channel: int = 0,
) -> None:
    """Copy (channels, rows, columns) to ``target`` from row ``y`` and ``channel`` on."""
    out, out_row, out_channel = map_source(to, target, y)
    whole_lines = isinstance(target.layout, Rows) and not isinstance(target.layout, Flattened)
    columns = target.rows.line if whole_lines else source[2]
    start = out + channel * out_channel
    vector = target.layout.vector
    relayout(
        to, vector, x, x_row, x_channel, source, start, out_row, out_channel, columns=columns, outside=target.zero,
    )  # fmt: skip


@dataclass(eq=False)
class FlatCopy(Stage):
    """Copies a plain tensor unchanged."""

    source: Value

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, 0, 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        assert isinstance(self.out.layout, Plain)
        layout = self.out.layout
        x, out, size = to.whole(self.source), to.whole(self.out), layout.size
        relayout(to, layout.vector, x, 0, 0, (1, 1, size), out, 0, 0, columns=size)


@dataclass(eq=False)
class FlattenedStrideToDepthCopy(Stage):
    """Makes a padded copy of a map, rows and columns split by remainder, for strided windows of flattened output."""

    source: Value
    shape: tuple[int, ...]
    first: Span
    step: Span

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, 0, self.shape[1])]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        layout = self.out.layout
        assert isinstance(layout, FlattenedStrideToDepth)
        x, x_row, x_channel = map_source(to, self.source, 0)
        out = to.row(self.out, 0) + blocks[0] * layout.channel_bytes
        line_bytes = layout.line * layout.itemsize
        for phase in range(layout.row_phases):
            relayout(
                to, layout.vector, x + blocks[0] * x_channel, x_row, x_channel,
                (blocks[1] - blocks[0], *self.shape[1:]),
                out + phase * layout.column_phases * line_bytes, layout.row_bytes, layout.channel_bytes,
                columns=layout.pitch, rows=layout.height, first_row=self.first[0] + phase, row_step=self.step[0],
                first_column=self.first[1], column_step=self.step[1], phases=layout.column_phases,
                out_phase=line_bytes, outside=self.out.zero,
            )  # fmt: skip


@dataclass(eq=False)
class StrideToDepthCopy(Stage):
    """Makes a padded copy of a map, its columns split by their remainder by the stride.

    Row r of the copy is row ``first_row + r * row_step`` of the source; what is outside stands for 0.
    """

    source: Value
    shape: tuple[int, ...]
    first_row: int
    row_step: int
    first_column: int
    column_step: int

    def _inside(self, first: int, last: int) -> Span:
        """The rows of [first, last) that come from the image."""
        begin = -(self.first_row // self.row_step)
        end = -((self.first_row - self.shape[1]) // self.row_step)
        return min(max(first, begin), last), max(min(last, end), first)

    def needs(self, first: int, last: int) -> list[Need]:
        first, last = self._inside(first, last)
        if first >= last:
            return []
        y = self.first_row + first * self.row_step
        return [map_needs(self.source, y, self.first_row + (last - 1) * self.row_step + 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        layout = self.out.layout
        assert isinstance(layout, StrideToDepth)
        begin, end = self._inside(first, last)
        if begin >= end:
            fill_rows(to, self.out, first, last)
            return
        if begin > first:
            fill_rows(to, self.out, first, begin)
        if last > end:
            fill_rows(to, self.out, end, last)
        y = self.first_row + begin * self.row_step
        x, x_row, x_channel = map_source(to, self.source, y)
        relayout(
            to, layout.vector, x, x_row, x_channel, (self.shape[0], self.shape[1] - y, self.shape[2]),
            to.row(self.out, begin),
            layout.row_bytes, layout.channel_bytes, columns=layout.line, rows=end - begin, row_step=self.row_step,
            first_column=self.first_column, column_step=self.column_step, phases=layout.phases,
            out_phase=layout.line * layout.itemsize, outside=self.out.zero,
        )  # fmt: skip
