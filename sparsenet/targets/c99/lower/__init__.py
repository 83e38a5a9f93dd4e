"""Lowering: for each op, the function that adds its stages to the plan, in the ``LOWER`` of its family's module."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparsenet.graph import Graph, Node, Shape
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.plan.lowering.families import FAMILIES
from sparsenet.tables import Table, deferred
from sparsenet.targets.c99.builder import Builder


class NoKernelError(Exception):
    """There is no C kernel for a node; the message says why."""


#: Families of ops that there is C for, see ``plan.lowering.families``.
_FAMILIES = ("conv2d", "linear", "pooling", "elementwise", "reshape")
#: Ops of these families that there is none for.
_WITHOUT = ("sub", "mul")


def _always(_graph: Graph, _shapes: Mapping[str, Shape], _node: Node) -> bool:
    return True


#: Op → ``f(builder, node)``.
LOWER: Table[Lowering[Builder]] = Table()
for _family in _FAMILIES:
    for _op in FAMILIES[_family]:
        if _op not in _WITHOUT:
            LOWER.add(_op, deferred(f"{__name__}.{_family}", "LOWER", _op))

#: Op → whether a node reads its inputs in C order, of those that may.
FLAT: dict[str, Callable[[Graph, Mapping[str, Shape], Node], bool]] = dict.fromkeys(
    ("flatten", "reshape", "linear"), _always
)
