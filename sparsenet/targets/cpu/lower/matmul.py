"""Products of matrices that are both computed, or one of them a constant."""

from __future__ import annotations

from sparsenet.graph import Node
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.axes import contiguous_strides
from sparsenet.plan.lowering.matmul import Products
from sparsenet.plan.ref import Word
from sparsenet.targets.cpu.lower.plain_call import plain_call


def lower_matmul(builder: Builder, node: Node) -> None:
    """Lower a matrix product: one product for each index of the axes in front."""
    sources = dict(zip("xy", node.inputs, strict=True))
    shapes = {name: builder.shape(tensor) for name, tensor in sources.items()}
    products = Products.of(shapes["x"], builder.shape(node.output))
    arguments: dict[str, Word] = {
        f"{name}_starts": builder.table(products.starts(shape, contiguous_strides(shape)))
        for name, shape in shapes.items()
    }
    arguments |= {
        "products": products.number, "rows": products.rows, "depth": products.depth, "columns": products.columns,
    }  # fmt: skip
    plain_call(builder, node, builder.kernel("matmul_none_flat"), sources, arguments)


LOWER = {"matmul": lower_matmul}
