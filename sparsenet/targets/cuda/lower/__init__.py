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

#: Op → ``f(builder, node)``.
LOWER: Table[Lowering[Builder]] = Table.joined(
    conv2d.LOWER,
    linear.LOWER,
    pooling.LOWER,
    broadcast.LOWER | elementwise.LOWER,  # sums of maps that lie alike are the special case
    reshape.LOWER,
    concat.LOWER,
    resize.LOWER,
    movement.LOWER,
    reductions.LOWER,
    normalization.LOWER,
    matmul.LOWER,
    choose.LOWER,
)

_LENGTH = "the length of its result depends on the data"
#: Op → why a GPU cannot run it.
UNSUPPORTED = dict.fromkeys(["nms", "nonzero", "first", "fill"], _LENGTH)
