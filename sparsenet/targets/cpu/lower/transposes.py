"""Transposition of axes, from and to plain tensors and rows, at the speed of copying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import Flattened, Plain, Rows
from sparsenet.plan.lowering.axes import contiguous_strides, merge_axes
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.relayout import MOST_LINES, map_needs, map_source, relayout, relayout_kernel
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.registry import TRANSPOSE_WAYS, Kernel
from sparsenet.targets.target import Vector


@dataclass(frozen=True)
class Axis:
    """An axis of the output: its size, and the floats from one element to the next in the source and in the output."""

    size: int
    x: int
    out: int


ONE = Axis(1, 0, 0)
#: The longest side of a square of numbers that is transposed in registers.
MOST_SQUARE = 16


@dataclass(frozen=True)
class Walk:
    """The order in which a kernel iterates over the axes.

    Attributes:
        vector: the longest of what is moved.
        columns: the output's last axis.
        lines: the axis whose neighbours are neighbours in the source, or, if that is ``columns`` or none, any other.
        rows, channels: two more, if there are as many.
        rest: the others, the outermost first.
        written: floats of an output line; what is beyond ``columns`` is zero.
    """

    vector: Vector
    columns: Axis
    lines: Axis
    rows: Axis
    channels: Axis
    rest: tuple[Axis, ...]
    written: int

    @property
    def kernel(self) -> Kernel:
        """The kernel that suits these axes best."""
        columns, lines = self.columns, self.lines
        if columns.x == 1 or lines.x != 1:
            return self._lines({0: "broadcast", 1: "contiguous", 2: "stride_2"}.get(columns.x, "strided"))
        if not self.rest and 1 < columns.size <= MOST_LINES and lines.out == columns.size == self.written:
            return self.vector.fitting(lines.size).kernel(INTERLEAVE, (columns.size,))
        if not self.rest and 1 < lines.size <= MOST_LINES and columns.x == lines.size:
            return relayout_kernel(self.vector, self.written, lines.size, lines.size)
        if columns.x == 0:
            return self._lines("broadcast")
        square = self.vector.fitting(min(columns.size, lines.size, MOST_SQUARE))
        return square.kernel(TRANSPOSE, (TRANSPOSE_WAYS.index("transposed"),))

    def _lines(self, way: str) -> Kernel:
        return self.vector.fitting(self.written).kernel(TRANSPOSE, (TRANSPOSE_WAYS.index(way),))

    @property
    def reason(self) -> str:
        """What the kernel does, as the reason of a decision."""
        if self.columns.x == 1 or self.columns.x == 0:
            return "contiguous runs copied" if self.columns.x else "numbers repeated"
        return "square tiles transposed in registers" if self.lines.x == 1 else "strided numbers gathered"


TRANSPOSE, INTERLEAVE = "transpose_none_any", "interleave_none_any"


def walk(vector: Vector, axes: Sequence[Axis], first: int, written: int) -> Walk:
    """A walk through ``axes``, in the output's order, ``first`` being the one that is shared out as rows."""
    *others, columns = axes
    near = [axis for axis in others if axis.x == 1] if columns.x != 1 else []
    lines = (near or others or [ONE])[-1]
    rows = axes[first]
    rest = [axis for axis in others if axis is not lines and axis is not rows]
    rows = rows if rows is not lines and rows is not columns else (rest.pop() if rest else ONE)
    channels = rest.pop() if rest else ONE
    return Walk(vector, columns, lines, rows, channels, tuple(rest), written)


@dataclass(eq=False)
class Transposed(Stage):
    """A stage that copies the source's elements along ``axes``; its units are those of the axis ``shared``.

    Attributes:
        source: the tensor to transpose.
        axes: the output's, the last one last.
        shared: which of them is the rows of what is by rows, or, of plain tensors, one that threads share.
        written: floats of an output line.
        start: floats from a plain source's beginning to the first element that is copied.
        tables: shape and jumps of the axes that no argument spells out.
    """

    source: Value
    axes: list[Axis]
    shared: int
    written: int
    start: int
    tables: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [map_needs(self.source, first, last)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        axis, axes = self.axes[self.shared], list(self.axes)
        x = _start(to, self.source, first, axis.x) + self.start * self.source.layout.itemsize
        out = _start(to, self.out, first, axis.out)
        axes[self.shared] = replace(axis, size=last - first)
        written = last - first if self.shared == len(axes) - 1 else self.written
        _call(to, walk(self.out.layout.vector, axes, self.shared, written), x, out, self.tables)


def _start(to: Emitter, value: Value, first: int, step: int) -> Ref:
    if isinstance(value.layout, Plain):
        return to.whole(value) + first * step * value.layout.itemsize
    return map_source(to, value, first)[0]


def _call(to: Emitter, way: Walk, x: Ref, out: Ref, tables: dict[str, Word]) -> None:
    columns, lines, rows, channels = way.columns, way.lines, way.rows, way.channels
    kernel, item = way.kernel, way.vector.element.itemsize
    if kernel.algorithm == TRANSPOSE:
        to.call(
            kernel, x=x, x_row=rows.x * item, x_line=lines.x * item, x_step=columns.x * item, x_columns=columns.size,
            rows=rows.size, lines=lines.size, columns=way.written, out=out,
            out_row=rows.out * item, out_line=lines.out * item, **tables,
        )  # fmt: skip
    elif kernel.algorithm == INTERLEAVE:
        to.call(
            kernel, x=x, x_row=rows.x * item, x_channel=channels.x * item, x_down=0, x_across=columns.x * item,
            x_columns=lines.size, block_rows=1, block_columns=columns.size, first_row=0, channels=channels.size,
            rows=rows.size, columns=lines.size * columns.size, out=out, out_row=rows.out * item,
            out_channel=channels.out * item,
        )  # fmt: skip
    else:
        source = (channels.size, rows.size, columns.size * lines.size)
        relayout(
            to, way.vector, x, rows.x * item, channels.x * item, source, out, rows.out * item, channels.out * item,
            columns=way.written, column_step=lines.size, phases=lines.size, out_phase=lines.out * item,
        )  # fmt: skip


def _tables(builder: Builder, way: Walk) -> dict[str, Word]:
    """Tables of the shape and jumps of the axes beside rows, lines and columns."""
    axes = [axis for axis in (*way.rest, way.channels) if axis.size > 1]
    jumps: list[list[int]] = [[], []]
    for i, axis in enumerate(axes):
        behind = axes[i + 1 :]
        jumps[0].append(axis.x - sum(a.x * (a.size - 1) for a in behind))
        jumps[1].append(axis.out - sum(a.out * (a.size - 1) for a in behind))
    shape = builder.table([axis.size for axis in axes] or [1])
    x_jumps, out_jumps = (builder.table(numbers or [0]) for numbers in jumps)
    return {"rank": len(axes), "shape": shape, "x_jumps": x_jumps, "out_jumps": out_jumps}


def lower_transpose(builder: Builder, node: Node) -> None:
    """Lower a transpose: from rows where the source has them, to rows where readers need them, else plain to plain."""
    x, perm = node.inputs[0], [p - 1 for p in attributes(node)["perm"][1:]]
    shape = builder.image_shape(x)
    strides = contiguous_strides(shape)
    rows = builder.get(x, Rows) if builder.is_map(x) else None
    if rows is not None and perm[2] != 1:
        item = rows.layout.itemsize
        strides = [rows.rows.channel_bytes // item, rows.rows.row_bytes // item, 1]
        _from_rows(builder, node, rows, [shape[p] for p in perm], [strides[p] for p in perm], perm.index(1))
        return
    source = builder.bounded(x)
    if builder.is_map(node.output) and node.output in builder.read_as_rows and perm[1] != 2:
        _to_rows(builder, node, source, [shape[p] for p in perm], [strides[p] for p in perm])
        return
    axes = _plain_axes(builder, node, [0, *(strides[p] for p in perm)])
    if len(axes) == 1:
        builder.put(node.output, source.view(node.output, builder.plain_layout(node.output)))
    else:
        _from_plain(builder, node, source, axes)


def pick_evenly(builder: Builder, node: Node, steps: Sequence[int], start: int = 0) -> None:
    """Add the stage that makes a plain output of evenly spaced elements of the plain input.

    Args:
        steps: floats of the input from one element of each output axis to the next; 0 repeats it.
        start: offset of the first element, in floats.
    """
    _from_plain(builder, node, builder.bounded(node.inputs[0]), _plain_axes(builder, node, steps), start)


def _plain_axes(builder: Builder, node: Node, steps: Sequence[int]) -> list[Axis]:
    target = builder.shape(node.output)
    sizes, (x_steps, out_steps) = merge_axes(target, steps, contiguous_strides(target))
    return [Axis(*numbers) for numbers in zip(sizes, x_steps, out_steps, strict=True)]


def _from_plain(builder: Builder, node: Node, source: Value, axes: list[Axis], start: int = 0) -> None:
    # The first axis that is worth sharing out, so that every thread writes a few long stretches.
    shared = max(range(len(axes)), key=lambda i: (axes[i].size >= 2 * builder.vector.lanes, -i))
    out = builder.new_plain(node.output)
    _add(builder, node, out, source, axes, shared, axes[-1].size, start)


def _from_rows(
    builder: Builder, node: Node, source: Value, sizes: list[int], steps: list[int], shared: int
) -> None:
    out_steps = contiguous_strides(sizes)
    axes = [Axis(*numbers) for numbers in zip(sizes, steps, out_steps, strict=True)]
    _add(builder, node, builder.new_plain(node.output), source, axes, shared, sizes[-1])


def _to_rows(builder: Builder, node: Node, source: Value, sizes: list[int], steps: list[int]) -> None:
    out = builder.new_rows(node.output)
    layout = out.rows
    out_steps = [layout.channel_bytes // layout.itemsize, layout.row_bytes // layout.itemsize, 1]
    channels, rows, columns = (Axis(*numbers) for numbers in zip(sizes, steps, out_steps, strict=True))
    written = columns.size if isinstance(layout, Flattened) else layout.line
    _add(builder, node, out, source, [channels, rows, columns], 1, written)


def _add(
    builder: Builder, node: Node, out: Value, source: Value, axes: list[Axis], shared: int, written: int,
    start: int = 0,
) -> None:  # fmt: skip
    way = walk(out.layout.vector, axes, shared, written)
    builder.decide(node, "none", way.kernel, way.reason)
    tables = _tables(builder, way)
    builder.add(
        Transposed(
            node.name, out, axes[shared].size, source, axes, shared, written, start, tables, exact=True
        )
    )


LOWER = {"transpose": lower_transpose}
