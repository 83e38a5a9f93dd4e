"""Products of matrices that are both computed, or one of them a constant."""

from __future__ import annotations

import numpy as np

from sparsenet.graph import Node
from sparsenet.plan.lowering.matmul import Products
from sparsenet.targets.cuda.builder import Builder, NoKernelError, Value
from sparsenet.targets.cuda.lower.axes import axis_strides
from sparsenet.targets.cuda.lower.relayout import clear_gaps

#: Tiles, the largest first: rows and columns of a thread, threads along rows and columns, terms between barriers.
TILES = ((4, 4, 16, 16, 16), (4, 4, 8, 8, 16), (2, 2, 8, 8, 8))


def lower_matmul(builder: Builder, node: Node) -> None:
    """Lower one product for each index of the axes in front, with the largest tile that gives each multiprocessor a
    block.
    """
    a, b = (builder.get(name) for name in node.inputs)
    out = builder.new_maps(node.output)
    clear_gaps(builder, out)
    products = Products.of(a.shape, out.shape)
    rows, columns = products.rows, products.columns
    blocks = [(tile, -(-rows // (tile[0] * tile[2])) * -(-columns // (tile[1] * tile[3]))) for tile in TILES]
    enough = (found for found in blocks if found[1] * products.number >= builder.options.processors)
    tile, along = next(enough, blocks[-1])
    kernel = builder.kernel("matmul_none_maps", tile)
    builder.decide(node, "none", kernel)
    (x_row, x_column), (y_row, y_column) = axis_strides(a)[-2:], axis_strides(b)[-2:]
    starts = {
        f"{name}_starts": _starts(builder, products, value)
        for name, value in (("x", a), ("y", b), ("out", out))
    }
    builder.call(
        kernel, (along, builder.across(along, products.number)), tile[2] * tile[3],
        x=a, y=b, **starts, products=products.number, rows=rows, depth=products.depth, columns=columns,
        x_row=x_row, x_column=x_column, y_row=y_row, y_column=y_column,
        out=out, out_row=axis_strides(out)[-2],
    )  # fmt: skip


def _starts(builder: Builder, products: Products, value: Value) -> int:
    if value.size > np.iinfo(np.int32).max:
        raise NoKernelError(f"an operand has {value.size} numbers, more than 32 bits can count")
    return builder.table(products.starts(value.shape, axis_strides(value)))


LOWER = {"matmul": lower_matmul}
