"""Products of stacks of matrices."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.lowering.axes import contiguous_strides
from sparsenet.plan.lowering.matmul import Products
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.stage import Read


def lower(builder: Builder, node: Node) -> None:
    """Each number by itself."""
    left, right = (builder.shape(name) for name in node.inputs)
    products = Products.of(left, builder.shape(node.output))
    known: dict[str, Word] = {
        "p_starts": builder.table(products.starts(left, contiguous_strides(left))),
        "q_starts": builder.table(products.starts(right, contiguous_strides(right))),
        "products": products.number,
        "lines": products.rows,
        "depth": products.depth,
        "columns": products.columns,
    }
    kernel = Kernel("f32_matmul_none_flat")
    reads = [Read(builder.flat(name), whole=True) for name in node.inputs]
    builder.add(builder.new_flat(node.output), kernel, reads, known, units=1, by_rows=False)
    builder.choose(node, "none", kernel)


LOWER = {"matmul": lower}
