"""Which nodes read maps row by row, and which want them in C order."""

from __future__ import annotations

from collections.abc import Callable

from sparsenet.graph import Graph, Node, Shape
from sparsenet.plan.lowering.families import FAMILIES
from sparsenet.targets.c99.lower import broadcast, concat, elementwise, movement

Rule = Callable[[Graph, dict[str, Shape], Node], bool]

#: Ops whose nodes do either: whether one reads by rows.
_SOME: dict[str, Rule] = {
    **dict.fromkeys(("add", "sub", "mul"), elementwise.fits_rows),
    **dict.fromkeys(FAMILIES["broadcast"], broadcast.fits_rows),
    "concat": concat.fits_rows,
    "pad": movement.fits_rows,
}
#: Ops whose nodes always do.
_ALL = frozenset((*FAMILIES["conv2d"], *FAMILIES["pooling"], *FAMILIES["elementwise"], *FAMILIES["resize"]))


def reads_rows(graph: Graph, shapes: dict[str, Shape], node: Node) -> bool:
    """Whether ``node`` reads maps row by row."""
    return _SOME[node.op](graph, shapes, node) if node.op in _SOME else node.op in _ALL
