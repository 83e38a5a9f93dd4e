"""A residual add joins the epilogue of the convolution that executes last before it."""

from __future__ import annotations

from converters.passes.rewiring import may_merge, merge_into, only_reader
from sparsenet.graph import Graph, Node
from sparsenet.ops import split_inputs


def fuse_add(graph: Graph) -> Graph:
    """Append an ``add`` of two equal shapes to the epilogue of the ``conv2d`` or ``linear`` that makes one operand.

    Exact: addition commutes. The operand must have no other reader; if both qualify, the one that executes last is
    taken, so the other is ready by then. A node carries at most one ``add``.
    """
    graph = graph.copy()
    shapes = graph.shapes()
    for node in [n for n in graph.nodes if n.op == "add"]:
        (a, b), _ = split_inputs(node)
        if a in graph.constants or b in graph.constants or shapes[a] != shapes[b]:
            continue
        if _adds(node):
            continue
        makers = [n for n in graph.nodes if n.output in (a, b) and _can_take_add(graph, n, node)]
        if makers:
            merge_into(graph, makers[-1], node, [["add"]], [b if makers[-1].output == a else a])
    return graph


def _can_take_add(graph: Graph, node: Node, add: Node) -> bool:
    if node.op not in ("conv2d", "linear") or _adds(node) or only_reader(graph, node.output) is None:
        return False
    return may_merge(node, add, [["add"]])


def _adds(node: Node) -> bool:
    return any(step[0] == "add" for step in node.epilogue)
