"""Transpositions move behind ops that are independent of the order of axes, until they meet and cancel."""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.remove_identity import remove_identity
from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import OPS, attributes

#: Order of axes by the name of a tensor.
Orders = dict[str, tuple[int, ...]]


def sink_transposes(graph: Graph) -> Graph:
    """Move transpositions behind activations, arithmetic, slices and concatenations; merge those that meet.

    Exact: such ops work the same on the axes as they were before; a constant is transposed along, an axis renumbered.
    An op moves if all that it reads is transposed alike, and if no more numbers are transposed for it. Networks that
    change to channels-last for a linear layer (ConvNeXt's blocks) become chains of 1x1 convolutions again, which fuse.
    """
    wiring, shapes = Rewiring(graph), graph.shapes()
    perms: Orders = {node.output: tuple(node.attrs["perm"]) for node in wiring.nodes("transpose")}
    orders = _orders(wiring, shapes, perms, set())
    orders = _orders(wiring, shapes, perms, _stay(wiring, shapes, perms, orders))
    source: dict[str, str] = {}  # of each tensor in ``orders``, the one whose axes are in that order
    for node in wiring.nodes():
        order = orders.get(node.output)
        if order is None:
            continue
        if node.output in perms:
            wiring.read(node, [source.get(node.inputs[0], node.inputs[0])])
            source[node.output] = node.inputs[0]
        else:
            source[node.output] = _move(wiring, node, order, source)
        if order == tuple(range(len(order))):
            node.op, node.attrs = "identity", {}
        else:
            node.op, node.attrs = "transpose", {"perm": list(order)}
    return eliminate_dead(remove_identity(wiring.done()))


def _orders(wiring: Rewiring, shapes: dict[str, Shape], perms: Orders, stay: set[str]) -> Orders:
    """The order of an earlier tensor's axes, for all results but ``stay`` that can be made from such tensors.

    ``perms`` are the permutations of the transpositions, by what they make.
    """
    orders: Orders = {}
    for node in wiring.nodes():
        if node.output in perms:
            perm = perms[node.output]
            before = orders.get(node.inputs[0], range(len(perm)))
            orders[node.output] = tuple(before[axis] for axis in perm)
        elif node.output not in stay and not node.epilogue and _may_move(node):
            known = {orders.get(name, ()) for name in _computed(wiring, node)}
            order = known.pop() if len(known) == 1 else ()
            permuted = len(order) == len(shapes[node.output]) and order != tuple(range(len(order)))
            if permuted and (OPS[node.op].elementwise or len(_computed(wiring, node)) == len(node.inputs)):
                orders[node.output] = order
    return orders


def _may_move(node: Node) -> bool:
    """Whether the op treats all axes alike, or all but one."""
    return OPS[node.op].elementwise or OPS[node.op].along_axis


def _computed(wiring: Rewiring, node: Node) -> list[str]:
    return [name for name in node.inputs if name not in wiring.constants]


def _stay(wiring: Rewiring, shapes: dict[str, Shape], perms: Orders, orders: Orders) -> set[str]:
    """The results in ``orders`` of ops that stay where they are, as less is transposed then.

    The *price* of a tensor is what is transposed so that it can be as it was, at most all of itself; who reads it from
    a tensor of before shares it. A result that others read as it was is itself transposed when its op has moved. Shares
    tell about single ops; a region of ops that still transposes more than it did stays as a whole.
    """
    nodes = [node for node in wiring.nodes() if node.output in orders]
    moved = {node.output: node for node in nodes if node.output not in perms}
    size = {node.output: prod(int(d or 1) for d in shapes[node.output][1:]) for node in nodes}
    inside = Counter(name for node in moved.values() for name in set(_computed(wiring, node)))
    transposed = {node.inputs[0] for node in nodes if node.output in perms}
    outside = Counter(wiring.outputs)
    outside.update(n for node in wiring.nodes() if node.output not in orders for n in set(node.inputs))
    price: dict[str, float] = {}

    def shares(node: Node) -> float:
        names = set(_computed(wiring, node))
        return sum(0 if outside[name] else price[name] / inside[name] for name in names)

    for node in nodes:
        whole = size[node.output]
        price[node.output] = whole if node.output in perms else min(whole, shares(node))
    stay: set[str] = set()
    for name, node in reversed(moved.items()):
        if outside[name] and not inside[name] and name not in transposed and size[name] > shares(node):
            stay.add(name)
            for read in set(_computed(wiring, node)):
                inside[read] -= 1
                outside[read] += 1
    regions = _regions(wiring, [node for node in nodes if node.output not in stay])
    more = Counter[str]()
    for node in nodes:
        if node.output not in stay:
            again = outside[node.output] and orders[node.output] != tuple(range(len(orders[node.output])))
            more[regions[node.output]] += size[node.output] * (bool(again) - (node.output in perms))
    return stay | {name for name in moved if name not in stay and more[regions[name]] > 0}


def _regions(wiring: Rewiring, nodes: list[Node]) -> dict[str, str]:
    """For each result of ``nodes``, the representative of the region it is connected with by reading and being read."""
    above = {node.output: node.output for node in nodes}

    def top(name: str) -> str:
        while above[name] != name:
            above[name] = name = above[above[name]]
        return name

    for node in nodes:
        for name in _computed(wiring, node):
            if name in above:
                above[top(name)] = top(node.output)
    return {name: top(name) for name in above}


def _move(wiring: Rewiring, node: Node, order: tuple[int, ...], source: dict[str, str]) -> str:
    """Let a new node do the work of ``node``, which reads it, on axes as they were; returns the new node's tensor."""
    attrs = dict(node.attrs)
    if OPS[node.op].along_axis:
        attrs["axis"] = order[attributes(node)["axis"]]
    output = wiring.unused_name(f"{node.output}.transposed")
    new = Node(node.op, node.name, [source.get(name, name) for name in node.inputs], [output], attrs)
    wiring.read(node, [output])
    node.name = f"{node.name}.transposed"
    wiring.insert_before(node, new)
    for position, name in enumerate(new.inputs):
        if name in wiring.constants:
            constant = wiring.constants[name]
            full = constant.reshape((1,) * (len(order) - constant.ndim) + constant.shape)
            wiring.set_constant(new, position, np.transpose(full, np.argsort(order)), f"{name}.transposed")
    return output
