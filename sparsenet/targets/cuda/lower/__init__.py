"""Lowering: for each op, the function that adds its launches to the plan, in the ``LOWER`` of its family's module."""

from __future__ import annotations

from sparsenet.plan.lowering.builder import Lowering
from sparsenet.plan.lowering.families import lowerings
from sparsenet.tables import Table
from sparsenet.targets.cuda.builder import Builder

_LENGTH = "the length of its result depends on the data"
#: Op → why a GPU cannot run it.
UNSUPPORTED = dict.fromkeys(["nms", "nonzero", "first", "fill"], _LENGTH)
#: Op → ``f(builder, node)``.
LOWER: Table[Lowering[Builder]] = lowerings(__name__, UNSUPPORTED)
