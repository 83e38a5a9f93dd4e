"""Products of matrices that are both computed, or one of them a constant."""

from __future__ import annotations

from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.targets.cuda.builder import Builder, NoKernelError, Value
from sparsenet.targets.cuda.lower.axes import axis_strides
from sparsenet.targets.cuda.lower.movement import clear_gaps
from sparsenet.targets.registry import Kernel

#: Tiles, the largest first: rows and columns of a thread, threads along rows and columns, terms between barriers.
TILES = ((4, 4, 16, 16, 16), (4, 4, 8, 8, 16), (2, 2, 8, 8, 8))


def lower_matmul(builder: Builder, node: Node) -> None:
    """One product for each index of the axes in front; the largest tile that gives every multiprocessor a block."""
    a, b = (builder.get(name) for name in node.inputs)
    out = builder.new(node.output)
    clear_gaps(builder, out)
    *front, rows, columns = out.shape
    products = prod(front)
    blocks = [(tile, -(-rows // (tile[0] * tile[2])) * -(-columns // (tile[1] * tile[3]))) for tile in TILES]
    enough = (found for found in blocks if found[1] * products >= builder.options.processors)
    tile, along = next(enough, blocks[-1])
    kernel = Kernel("f32_matmul_none_maps", 1, tile)
    builder.decide(node, "none", kernel, "the only kernel for this op")
    (x_row, x_column), (y_row, y_column) = axis_strides(a)[-2:], axis_strides(b)[-2:]
    builder.call(
        kernel, (along, builder.across(along, products)), tile[2] * tile[3],
        x=a, y=b, x_starts=_starts(builder, a, front), y_starts=_starts(builder, b, front),
        out_starts=_starts(builder, out, front), products=products, rows=rows, depth=a.shape[-1],
        columns=columns, x_row=x_row, x_column=x_column, y_row=y_row, y_column=y_column,
        out=out, out_row=axis_strides(out)[-2],
    )  # fmt: skip


def _starts(builder: Builder, value: Value, front: list[int]) -> int:
    """A table of where the matrices of ``value`` begin, for each index of the axes ``front`` that it broadcasts to."""
    if value.size > np.iinfo(np.int32).max:
        raise NoKernelError(f"an operand has {value.size} numbers, more than 32 bits can count")
    starts = np.zeros(value.shape[:-2], np.int64)
    for axis, stride in enumerate(axis_strides(value)[:-2]):
        starts += stride * np.arange(value.shape[axis]).reshape(-1, *[1] * (starts.ndim - axis - 1))
    return builder.tables.add(np.broadcast_to(starts, front))


LOWER = {"matmul": lower_matmul}
