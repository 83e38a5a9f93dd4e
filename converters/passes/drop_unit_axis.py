"""Work on images (C, H, W) where a network has them as (1, C, H, W)."""

from __future__ import annotations

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.rewiring import set_constant, unused_name
from sparsenet.graph import Graph, Node, Shape
from sparsenet.ops import ACTIVATIONS

_ARITHMETIC = {"add", "sub", "mul", "div", "maximum", "minimum"}


def drop_unit_axis(graph: Graph) -> Graph:
    """Let activations, arithmetic and concatenation work in front of a reshape that only puts an axis of 1 there.

    Exact: no number moves. A model converted as one sample (``batch="fixed"``) has such a reshape behind every
    convolution, and one back in front of the next; with what is between gone, they cancel and the layers fuse.
    """
    if any(info.open for info in graph.inputs):
        return graph
    graph = graph.copy()
    shapes, lean = graph.shapes(), dict[str, str]()
    nodes: list[Node] = []
    for node in graph.nodes:
        x = node.inputs[0]
        if node.op == "reshape" and shapes[node.output] == (None, 1, *shapes[x][1:]):
            lean[node.output] = x
        elif _can_do_without(graph, node, shapes, lean):
            inner = _without(graph, node, shapes, lean)
            nodes.append(inner)
            lean[node.output] = inner.output
            node = Node(
                "reshape",
                f"{node.name}.unit",
                [inner.output],
                [node.output],
                {"shape": list(shapes[node.output][1:])},
            )
        nodes.append(node)
    graph.nodes = nodes
    graph.drop_unused_constants()
    return eliminate_dead(graph)


def _can_do_without(graph: Graph, node: Node, shapes: dict[str, Shape], lean: dict[str, str]) -> bool:
    """Whether all that ``node`` reads is there without the axis, and the axis is nothing to it."""
    shape = shapes[node.output]
    if node.epilogue or node.op not in {*ACTIVATIONS, *_ARITHMETIC, "concat"} or len(shape) < 3:
        return False
    if node.op == "concat" and node.attrs.get("axis", 1) < 2:
        return False
    for name in node.inputs:
        constant = graph.constants.get(name)
        if constant is None and (name not in lean or len(shapes[name]) != len(shape)):
            return False
        if constant is not None and any(size != 1 for size in constant.shape[: 2 - len(shape)]):
            return False  # it has the axis, and more than 1 there
    return any(name in lean for name in node.inputs)


def _without(graph: Graph, node: Node, shapes: dict[str, Shape], lean: dict[str, str]) -> Node:
    attrs = {"axis": node.attrs.get("axis", 1) - 1} if node.op == "concat" else dict(node.attrs)
    output = unused_name(graph, f"{node.output}.lean")
    inner = Node(node.op, node.name, [lean.get(name, name) for name in node.inputs], [output], attrs)
    rank = len(shapes[node.output]) - 1
    for position, name in enumerate(inner.inputs):
        constant = graph.constants.get(name)
        if constant is not None and constant.ndim >= rank:
            less = constant.reshape(1, *constant.shape[constant.ndim - rank + 1 :])
            set_constant(graph, inner, position, less, f"{name}.lean")
    return inner
