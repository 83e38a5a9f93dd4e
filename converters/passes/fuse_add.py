"""A residual add joins the epilogue of the convolution that executes last before it."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring, may_merge
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import OPS, split_inputs


def fuse_add(graph: Graph) -> Graph:
    """Append an ``add`` of two equal shapes to the epilogue of the ``conv2d`` or ``linear`` that makes one operand.

    Exact: addition commutes. The operand must have no other reader; if both qualify, the one that executes last is
    taken, so the other is ready by then. A node carries at most one ``add``.
    """
    wiring, shapes = Rewiring(graph), graph.shapes()
    for node in wiring.nodes("add"):
        (a, b), _ = split_inputs(node)
        if a in wiring.constants or b in wiring.constants or shapes[a] != shapes[b]:
            continue
        if _adds(node):
            continue
        operands = [wiring.producer(a), wiring.producer(b)]
        makers = [maker for maker in operands if maker is not None and _can_take_add(wiring, maker, node)]
        if makers:
            last = max(makers, key=wiring.place)
            wiring.merge(last, node, [["add"]], [b if last.output == a else a])
    return wiring.done()


def _can_take_add(wiring: Rewiring, node: Node, add: Node) -> bool:
    if not OPS[node.op].weighted or _adds(node) or wiring.only_reader(node.output) is None:
        return False
    return may_merge(node, add, [["add"]])


def _adds(node: Node) -> bool:
    return any(step[0] == "add" for step in node.epilogue)
