"""Work on images (C, H, W) where a network has them as (1, C, H, W)."""

from __future__ import annotations

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import OPS, attributes


def drop_unit_axis(graph: Graph) -> Graph:
    """Let elementwise ops, slices and concatenations work in front of a reshape that only puts an axis of 1 there.

    Exact: no number moves. A model converted as one sample (``batch="fixed"``) has such a reshape behind every
    convolution, and one back in front of the next; with what is between gone, they cancel and the layers fuse.
    """
    if any(info.open for info in graph.inputs):
        return graph
    wiring, shapes, lean = Rewiring(graph), graph.shapes(), dict[str, str]()
    for node in wiring.nodes():
        x = node.inputs[0]
        if OPS[node.op].keeps_order and shapes[node.output] == (None, 1, *shapes[x][1:]):
            lean[node.output] = x
        elif _can_do_without(graph, node, shapes, lean):
            lean[node.output] = _do_without(wiring, node, shapes, lean)
    return eliminate_dead(wiring.done())


def _can_do_without(graph: Graph, node: Node, shapes: dict[str, Shape], lean: dict[str, str]) -> bool:
    """Whether all that ``node`` reads is there without the axis, and the axis is nothing to it."""
    shape = shapes[node.output]
    schema = OPS[node.op]
    if node.epilogue or not (schema.elementwise or schema.along_axis) or len(shape) < 3:
        return False
    if schema.along_axis and attributes(node)["axis"] < 2:
        return False
    for name in node.inputs:
        constant = graph.constants.get(name)
        if constant is None and (name not in lean or len(shapes[name]) != len(shape)):
            return False
        if constant is not None and any(size != 1 for size in constant.shape[: 2 - len(shape)]):
            return False  # it has the axis, and more than 1 there
    return any(name in lean for name in node.inputs)


def _do_without(wiring: Rewiring, node: Node, shapes: dict[str, Shape], lean: dict[str, str]) -> str:
    """Turn ``node`` into a reshape behind a new node that does its work; returns the new node's tensor."""
    attrs = dict(node.attrs)
    if OPS[node.op].along_axis:
        attrs["axis"] = attributes(node)["axis"] - 1
    output = wiring.unused_name(f"{node.output}.lean")
    inner = Node(node.op, node.name, [lean.get(name, name) for name in node.inputs], [output], attrs)
    wiring.read(node, [output])
    node.op, node.name, node.attrs = "reshape", f"{node.name}.unit", {"shape": list(shapes[node.output][1:])}
    wiring.insert_before(node, inner)
    rank = len(shapes[node.output]) - 1
    for position, name in enumerate(inner.inputs):
        constant = wiring.constants.get(name)
        if constant is not None and constant.ndim >= rank:
            less = constant.reshape(1, *constant.shape[constant.ndim - rank + 1 :])
            wiring.set_constant(inner, position, less, f"{name}.lean")
    return output
