"""Lowering: for each op, the function that adds its stages to the plan.

Each family has ``LOWER``, and where its ops ask for it ``READS`` and ``HALOS``; here they are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparsenet.graph import Graph, Node, Shape
from sparsenet.plan.builder import Builder, Halo, Reads
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.tables import Table
from sparsenet.targets.cpu.lower import (
    broadcast,
    choose,
    concat,
    conv2d,
    elementwise,
    linear,
    matmul,
    movement,
    normalization,
    pooling,
    reductions,
    reshape,
    resize,
)

#: One module for each family of ops, with the ``LOWER`` of its own; families have the same names on every target.
FAMILIES = (
    conv2d,
    linear,
    pooling,
    elementwise,
    broadcast,
    reshape,
    concat,
    resize,
    movement,
    reductions,
    normalization,
    matmul,
    choose,
)

#: Op → ``f(builder, node)``.
LOWER: Table[Lowering[Builder]] = Table.joined(*(family.LOWER for family in FAMILIES))
#: Op → how it reads maps, of those that prefer one way.
READS: Table[Reads] = Table.joined(
    conv2d.READS,
    pooling.READS,
    elementwise.READS,
    reshape.READS,
    concat.READS,
    resize.READS,
    movement.READS,
)
#: Op → ``f(graph, shapes, node)``: what it needs around its first input, of those that read it in place.
HALOS: Table[Callable[[Graph, Mapping[str, Shape], Node], Halo]] = Table.joined(conv2d.HALOS, pooling.HALOS)
