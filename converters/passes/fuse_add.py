"""A residual add joins the epilogue of the convolution that executes last before it."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring, may_merge
from sparsenet.graph import Graph, Node, Quantization
from sparsenet.graph.clamped_line import bounds_of
from sparsenet.graph.ops import OPS, split_inputs


def fuse_add(graph: Graph) -> Graph:
    """Append an ``add`` of two equal shapes to the epilogue of the ``conv2d`` or ``linear`` that makes one operand.

    Exact: addition commutes. The operand must have no other reader; if both qualify, the one that executes last is
    taken, so the other is ready by then. A node carries at most one ``add``. If the operand is quantized, the node must
    do nothing else before, or only keep its results in a range that the grid has on both sides of 0, as no activation
    does; that limit is dropped.
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
            if last.output in wiring.quantization:
                last.attrs["epilogue"] = []
            wiring.merge(last, node, [["add"]], [b if last.output == a else a])
    return wiring.done()


def _can_take_add(wiring: Rewiring, node: Node, add: Node) -> bool:
    if not OPS[node.op].weighted or _adds(node) or wiring.only_reader(node.output) is None:
        return False
    grid = wiring.quantization.get(node.output)
    if grid is not None and node.epilogue and not _only_keeps_range(node, grid):
        return False
    return may_merge(node, add, [["add"]])


def _only_keeps_range(node: Node, grid: Quantization) -> bool:
    """Whether the epilogue is a limit to the range of a grid with numbers on both sides of 0."""
    least, most = grid.range
    ends = tuple(float(number) for number in grid.numbers([least, most]))
    return len(node.epilogue) == 1 and bounds_of(node.epilogue[0]) == ends and least < grid.zero_point < most


def _adds(node: Node) -> bool:
    return any(step[0] == "add" for step in node.epilogue)
