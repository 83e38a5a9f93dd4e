"""Lowering: for each op, the function that adds its stages to the plan.

One module for each family of ops has their functions in its ``LOWER``, and what needs a halo in its ``HALOS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import ACTIVATIONS, OPS
from sparsenet.plan.builder import Builder, Halo, Reads
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.plan.lowering.families import FAMILIES, lowerings
from sparsenet.tables import Table, deferred

#: Op → ``f(builder, node)``.
LOWER: Table[Lowering[Builder]] = lowerings(__name__)
#: The same for nodes in integers.
INTEGER: Table[Lowering[Builder]] = Table(
    {
        op: deferred(f"{__name__}.{module}", "LOWER", op)
        for module, ops in {
            "integer": ("conv2d",),
            "integer_linear": ("linear",),
            "integer_pooling": ("avg_pool2d", "global_avg_pool2d"),
            "integer_elementwise": (*ACTIVATIONS, "add", "mul"),
            "integer_moves": ("max_pool2d", "resize", "concat", *FAMILIES["reshape"], *FAMILIES["movement"]),
        }.items()
        for op in ops
        if OPS[op].integer
    }
)
#: Op → how it reads maps, of those that prefer one way.
READS: Table[Reads] = Table.joined(
    dict.fromkeys(("conv2d", "resize", "affine", "batch_norm", *ACTIVATIONS, *FAMILIES["pooling"]), "rows"),
    dict.fromkeys(("concat", "flatten", "reshape", "slice", "transpose"), "any"),
)
#: Op → ``f(graph, shapes, node)``: what it needs around its first input, of those that read it in place.
HALOS: Table[Callable[[Graph, Mapping[str, Shape], Node], Halo]] = Table(
    conv2d=deferred(f"{__name__}.conv2d", "HALOS", "conv2d"),
    avg_pool2d=deferred(f"{__name__}.pooling", "HALOS", "avg_pool2d"),
)
