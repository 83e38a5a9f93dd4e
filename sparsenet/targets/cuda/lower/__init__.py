"""Lowering: for each op, the function that adds its launches to the plan."""

from __future__ import annotations

from sparsenet.plan.lowering.builder import Lowering
from sparsenet.tables import Table
from sparsenet.targets.cuda.builder import Builder
from sparsenet.targets.cuda.lower import (
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

_LENGTH = "the length of its result depends on the data"
#: Op → why a GPU cannot run it.
UNSUPPORTED = dict.fromkeys(["nms", "nonzero", "first", "fill"], _LENGTH)
