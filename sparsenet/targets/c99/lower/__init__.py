"""Lowering: for each op, the function that adds its stages to the plan, in the ``LOWER`` of its family's module."""

from __future__ import annotations

from sparsenet.plan.lowering.builder import Lowering
from sparsenet.plan.lowering.families import lowerings
from sparsenet.tables import Table
from sparsenet.targets.c99.builder import Builder

#: Op → ``f(builder, node)``.
LOWER: Table[Lowering[Builder]] = lowerings(__name__)
