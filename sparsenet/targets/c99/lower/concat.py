"""Concatenation."""

from __future__ import annotations

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import attributes
from sparsenet.plan.lowering.axes import AxisSplit
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Read


def fits_rows(graph: Graph, shapes: dict[str, Shape], node: Node) -> bool:
    """Whether channels of maps are put together, which is done row by row."""
    computed = not any(name in graph.constants for name in node.inputs)
    return computed and attributes(node)["axis"] == 1 and len(shapes[node.output]) == 4


def lower(builder: Builder, node: Node) -> None:
    """Row by row where channels are put together, else in C order."""
    kernel = Kernel("f32_concat_none_any")
    by_rows = fits_rows(builder.graph, builder.shapes, node)
    out = builder.new(node.output) if by_rows else builder.new_flat(node.output)
    values = [builder.any(name) if by_rows else builder.flat(name) for name in node.inputs]
    if by_rows:
        lines, widths = [v.shape[0] for v in values], [v.width for v in values]
        steps, out_step = [v.channel for v in values], out.channel
        starts = [out_step * sum(lines[:k]) for k in range(len(lines))]
    else:
        axis = attributes(node)["axis"]
        splits = [AxisSplit.of(builder.shape(name), axis) for name in node.inputs]
        lines, widths = [s.outer for s in splits], [s.size * s.inner for s in splits]
        steps, out_step = widths, sum(widths)
        starts = [sum(widths[:k]) for k in range(len(widths))]
    known: dict[str, Word] = {
        "starts": builder.table(starts),
        "lines": builder.table(lines),
        "widths": builder.table(widths),
        "steps": builder.table(steps),
        "operands": len(values),
        "out_step": out_step,
    }
    reads = [Read(value, whole=not by_rows) for value in values]
    builder.add(out, kernel, reads, known, units=out.height if by_rows else 1, by_rows=by_rows)
    builder.choose(node, "none", kernel)


LOWER = {"concat": lower}
