"""Transpositions wander behind what does not care for the order of axes, until they meet and cancel."""

from __future__ import annotations

import numpy as np

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.remove_identity import remove_identity
from converters.passes.rewiring import only_reader, set_constant, unused_name
from sparsenet.graph import Graph, Node
from sparsenet.ops import ACTIVATIONS

_ARITHMETIC = {"add", "sub", "mul", "div", "maximum", "minimum"}


def sink_transposes(graph: Graph) -> Graph:
    """Move transpositions behind activations and arithmetic with constants, and merge those that follow each other.

    Exact: such ops treat every number alike, whatever its place; a constant is transposed along. Networks that turn to
    channels-last for a linear layer (ConvNeXt's blocks) become chains of 1x1 convolutions again, which fuse.
    """
    graph = graph.copy()
    while _step(graph):
        pass
    graph.drop_unused_constants()
    return eliminate_dead(remove_identity(graph))


def _step(graph: Graph) -> bool:
    """One change, if there is one to make."""
    made_by = {node.output: node for node in graph.nodes}
    for node in graph.nodes:
        before = made_by.get(_activation(graph, node))
        if before is None or before.op != "transpose":
            continue
        if node.op == "transpose":
            _merge(node, before)
            return True
        if _treats_all_alike(node) and only_reader(graph, before.output) is node:
            _swap(graph, before, node)
            return True
    return False


def _activation(graph: Graph, node: Node) -> str:
    """The only input of a node that is no constant, or ""."""
    names = [name for name in node.inputs if name and name not in graph.constants]
    return names[0] if len(names) == 1 else ""


def _treats_all_alike(node: Node) -> bool:
    return not node.epilogue and (
        node.op in ACTIVATIONS or (node.op in _ARITHMETIC and len(node.inputs) == 2)
    )


def _merge(node: Node, before: Node) -> None:
    perm = [before.attrs["perm"][i] for i in node.attrs["perm"]]
    node.inputs = [before.inputs[0]]
    if perm == list(range(len(perm))):
        node.op, node.attrs = "identity", {}
    else:
        node.attrs = {"perm": perm}


def _swap(graph: Graph, turn: Node, node: Node) -> None:
    """``node(turn(x))`` as ``turn(node(x))``; the result keeps its name, what is between is a new tensor."""
    perm = turn.attrs["perm"]
    back = [perm.index(i) for i in range(len(perm))]
    position = node.inputs.index(turn.output)
    for other, name in enumerate(node.inputs):
        if other != position:
            constant = graph.constants[name]
            full = constant.reshape((1,) * (len(perm) - constant.ndim) + constant.shape)
            set_constant(graph, node, other, np.transpose(full, back), f"{name}.turned")
    inner = unused_name(graph, f"{node.output}.turned")
    inputs = [turn.inputs[0] if i == position else name for i, name in enumerate(node.inputs)]
    turn.op, turn.attrs, turn.inputs, turn.outputs = node.op, node.attrs, inputs, [inner]
    node.op, node.attrs, node.inputs = "transpose", {"perm": perm}, [inner]
    turn.name, node.name = node.name, turn.name
