"""Lowering: for each op, the function that adds its stages to the plan."""

from __future__ import annotations

from sparsenet.plan.builder import Builder
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
