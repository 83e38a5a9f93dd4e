"""Families of ops: on every target, one module of the family's name lowers its ops.

A family is imported when one of its ops is first lowered: start-up waits only for the families that the network uses.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.tables import Table, deferred

#: Family → its ops.
FAMILIES: dict[str, tuple[str, ...]] = {
    "conv2d": ("conv2d",),
    "linear": ("linear",),
    "pooling": ("max_pool2d", "avg_pool2d", "global_avg_pool2d"),
    "elementwise": (*ACTIVATIONS, "affine", "batch_norm", "add", "sub", "mul"),
    "broadcast": ("div", "pow", "maximum", "minimum", "greater", "less", "equal", "where"),
    "reshape": ("identity", "dropout", "flatten", "reshape"),
    "concat": ("concat",),
    "resize": ("resize",),
    "movement": ("transpose", "slice", "gather", "expand", "pad", "depth_to_space", "space_to_depth"),
    "reductions": ("reduce", "argmax"),
    "normalization": ("normalize", "softmax"),
    "matmul": ("matmul",),
    "choose": ("top_k", "gather_elements", "gather_nd", "nms", "nonzero", "fill", "first"),
}


def lowerings(package: str, unsupported: Container[str] = ()) -> Table[Lowering[Any]]:
    """Op → its entry in the ``LOWER`` of its family's module in ``package``, but for those that are ``unsupported``."""
    table: Table[Lowering[Any]] = Table()
    for family, ops in FAMILIES.items():
        for op in ops:
            if op not in unsupported:
                table.add(op, deferred(f"{package}.{family}", "LOWER", op))
    return table
