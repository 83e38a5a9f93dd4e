"""Nearest and bilinear resizing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.plan.layout import CACHE_LINE, round_up
from sparsenet.plan.lowering.resize import resize_tables
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Emitter, Need, Span, Stage, Value
from sparsenet.targets.registry import Kernel


@dataclass(eq=False)
class Resize(Stage):
    """A stage of nearest or bilinear resizing by tables; ``low``, ``high``: the source rows of each output row.

    ``tables`` are the tables of the rows, each with the bytes of an entry.
    """

    source: Value
    kernel: Kernel
    low: list[int]
    high: list[int]
    tables: dict[str, tuple[Ref, int]]
    fixed: dict[str, Word]

    def needs(self, first: int, last: int) -> list[Need]:
        return [(self.source, min(self.low[first:last]), max(self.high[first:last]) + 1)]

    def emit(self, to: Emitter, first: int, last: int, blocks: Span) -> None:
        begin = min(self.low[first:last])
        to.call(
            self.kernel, x=to.row(self.source, begin), x_first=begin, height=last - first,
            out=to.row(self.out, first), **self.fixed,
            **{name: table + first * step for name, (table, step) in self.tables.items()},
        )  # fmt: skip


def lower_resize(builder: Builder, node: Node) -> None:
    """Lower nearest or bilinear resizing, by tables."""
    source, out = builder.rows(node.inputs[0]), builder.new_rows(node.output, row_by_row=True)
    inside, layout = source.rows, out.rows
    rows, columns = resize_tables(node, (inside.height, inside.width), (layout.height, layout.width))
    missing = round_up(layout.width, CACHE_LINE // layout.itemsize) - layout.width
    kernel = layout.kernel("resize_none_rows")
    tables = {
        name: (builder.constant(table), table.itemsize)
        for name, table in {"rows_low": rows.low, "rows_high": rows.high, "rows_weight": rows.weight}.items()
        if name in kernel.arguments
    }
    fixed: dict[str, Word] = {
        "x_row": inside.row_bytes, "x_channel": inside.channel_bytes, "channels": layout.channels,
        "columns_low": builder.constant(np.pad(columns.low * inside.itemsize, (0, missing))),
        "columns_high": builder.constant(np.pad(columns.high * inside.itemsize, (0, missing))),
        "columns_weight": builder.constant(np.pad(columns.weight, (0, missing))),
        "outside": out.zero, **builder.lines(layout),
    }  # fmt: skip
    # Nearest numbers are taken by the lower index alone.
    fixed = {name: value for name, value in fixed.items() if name in kernel.arguments}
    builder.decide(node, "none", kernel)
    low, high = rows.low.tolist(), rows.high.tolist()
    builder.add(Resize(node.name, out, layout.height, source, kernel, low, high, tables, fixed))


LOWER = {"resize": lower_resize}
